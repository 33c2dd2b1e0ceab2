import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Recording } from '../rig/exchange.ts'
import { startReplayServer } from '../rig/replay-server.ts'
import { forgeContract } from './forge.ts'

const folder = join(import.meta.dirname, '..', 'fixtures', 'gitea')
const files = readdirSync(folder).filter((name) => name.endsWith('.json'))

test('there are recordings to replay', () => {
  expect(files.length).toBeGreaterThan(0)
})

/** Of the suite and of whoever recorded it: no password, no token, no header that logs in. */
function secretsIn(text: string): string[] {
  const tokens = [...text.matchAll(/"(?:sha1|token_last_eight)":"([^"]*)"/g)].map((found) => found[1] ?? '')
  const shown = tokens.filter((token) => !/^(|0+\d{1,2}|\*+)$/.test(token))
  const named = [...text.matchAll(/"(?:password|secret)":(?!"\*\*\*")[^,}]*/g)].map(([found]) => found)
  const others = ['contract-password', 'admin-password', 'of the hook', 'Basic ', 'authorization":"t']
  return [...shown, ...named, ...others.filter((each) => text.includes(each))]
}

for (const file of files) {
  test(`${file} has no secret in it`, () => {
    expect(secretsIn(readFileSync(join(folder, file), 'utf8'))).toEqual([])
  })

  const recording = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Recording
  forgeContract(`recorded from Gitea ${recording.version}`, async () => {
    const server = await startReplayServer(recording)
    return {
      url: server.url,
      // The account that the recording was made with; its password is not in it.
      admin: { user: recordedAdmin(recording), password: 'not-recorded-1' },
      version: recording.version,
      cleanUp: async () => {
        await server[Symbol.asyncDispose]()
        expect(server.problems()).toEqual([])
      },
    }
  })
}

function recordedAdmin(recording: Recording): string {
  const asked = recording.exchanges.find((each) => each.path === '/api/v1/user')
  return (asked?.answer as { login: string } | undefined)?.login ?? ''
}
