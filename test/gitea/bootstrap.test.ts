import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Recording } from '../rig/exchange.ts'
import { startRecordingProxy } from '../rig/recording-proxy.ts'
import { startReplayServer } from '../rig/replay-server.ts'
import { bootstrapStory } from './bootstrap-story.ts'

const folder = join(import.meta.dirname, '..', 'fixtures', 'gitea', 'bootstrap')
const files = readdirSync(folder).filter((name) => name.endsWith('.json'))

test('there are recordings to replay', () => {
  expect(files.length).toBeGreaterThan(0)
})

for (const file of files) {
  const recording = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Recording
  bootstrapStory(`recorded from Gitea ${recording.version}`, async () => {
    const server = await startReplayServer(recording)
    const proxy = await startRecordingProxy(server.url)
    return {
      url: proxy.url,
      exchanges: proxy.exchanges,
      // The account that the recording was made with; its password is not in it.
      admin: { user: 'root-admin', password: 'not-recorded-1' },
      version: recording.version,
      push: () => Promise.resolve(),
      cleanUp: async () => {
        await proxy[Symbol.asyncDispose]()
        await server[Symbol.asyncDispose]()
        expect(server.problems()).toEqual([])
      },
    }
  })
}
