import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { pretendHost } from '../../reconciler/engine/in-memory.ts'
import type { PretendProgram } from '../../reconciler/engine/pretend-containers.ts'
import { engineDataContract, scripts } from '../contracts/engine-data.ts'

/** The programs of the suite, as the pretend host has them. */
const programs: Record<string, PretendProgram> = {
  echo: ({ command }) => ({ exitCode: 0, output: `${command.slice(1).join(' ')}\n` }),
  sha256sum: ({ input }) => ({
    exitCode: 0,
    output: `${createHash('sha256').update(input).digest('hex')}  -\n`,
  }),
  cat: ({ command, input, volumes }) => {
    const path = command[1]
    if (path === undefined) return { exitCode: 0, output: input }
    const file = volumes['/data']?.get(path.replace('/data/', ''))
    return file === undefined
      ? { exitCode: 1, output: '', errors: `cat: ${path}\n` }
      : { exitCode: 0, output: Buffer.from(file.content) }
  },
  sh: ({ command, volumes }) => {
    if (command[2] === scripts.fails) return { exitCode: 3, output: 'some\n', errors: 'why\n' }
    volumes['/data']?.set('complete', { content: 'yes\n' })
    return { exitCode: 0, output: '' }
  },
}

const reference = 'registry.example.com/web:1.0.0'

engineDataContract('in-memory', async () => {
  const host = pretendHost()
  const digest = host.publish(reference, { programs })
  const { id } = await host.engine.holdImage({ name: 'registry.example.com/web', tag: '1.0.0', digest })
  return {
    engine: host.engine,
    project: 'story',
    image: { reference: `${reference}@${digest}`, id },
    answers: async (instance) => host.containers.get(instance)?.state === 'running',
    stopByHand: async (instance) => {
      const container = host.containers.get(instance)
      if (container !== undefined) container.state = 'exited'
    },
    removeByHand: async (instance) => void host.containers.delete(instance),
    cleanUp: async () => undefined,
  }
})

test('a story fails an engine call on data once, by its program', async () => {
  const host = pretendHost()
  const digest = host.publish(reference, { programs })
  const { id } = await host.engine.holdImage({ name: 'registry.example.com/web', tag: '1.0.0', digest })
  host.files('story_data').set('row', { content: 'one' })
  const instance = await host.engine.scratch('op', {
    image: id,
    volumes: { story_data: '/data' },
    command: null,
    environment: {},
  })
  await host.engine.startScratch(instance)
  host.fail('exec cat', new Error('the engine is gone'))
  await expect(host.engine.exec(instance, ['cat', '/data/row'])).rejects.toThrow('the engine is gone')
  const { ended } = await host.engine.exec(instance, ['cat', '/data/row'])
  expect((await ended).exitCode).toBe(0)
})
