import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SamovarError } from '../../reconciler/errors.ts'
import { serve } from '../health/servers.ts'
import { type OwnStack, startOwnStack } from './own-stack.ts'

/** Updates of what stands around Gitea, with the Compose files and the desired state of this repository. */

let stack: OwnStack
beforeEach(async () => {
  stack = await startOwnStack()
})
afterEach(() => stack?.[Symbol.asyncDispose]())

const ended = async () => {
  const { operations } = await stack.pass()
  return operations.map(({ service, result }) => `${service} ${result}`)
}

const others = async () => Promise.all(['postgres', 'nginx'].map((service) => stack.standing(service)))

describe('what Gitea does not need may fail', () => {
  test.each([
    ['diun', 'since its registry does not answer', 'nothing'],
    ['diun', 'since it ends at once', 'reverted'],
    ['diun', 'and gets stuck', 'stuck'],
    ['runner-1', 'and gets stuck', 'stuck'],
  ])(
    'an update of %s that fails %s holds nobody back: Gitea is updated in the same pass',
    async (service, _, end) => {
      if (end !== 'nothing') stack.publish(service, '99.0.0', { exits: 1 })
      if (end === 'stuck')
        stack.host.fail(`bringBack ${service}`, new SamovarError('engine-refused', 'the disk is read-only'))
      stack.publish('gitea', '1.99.0')
      const before = await others()
      await stack.want({ [service]: { tag: '99.0.0', update: {} }, gitea: { tag: '1.99.0' } })
      const own = end === 'nothing' ? [] : [`${service} ${end}`]
      expect((await ended()).toSorted()).toEqual([...own, 'gitea applied'].toSorted())
      expect(await stack.standing('gitea')).toMatch(/^\w+ 1\.99\.0 running$/)
      expect(await others()).toEqual(before)
    },
  )

  test('Gitea is not touched by it, and its fix is rolled out', async () => {
    const gitea = await stack.standing('gitea')
    stack.publish('diun', '99.0.0', { exits: 1 })
    await stack.want({ diun: { tag: '99.0.0', update: {} } })
    expect(await ended()).toEqual(['diun reverted'])
    stack.publish('diun', '99.0.1')
    await stack.want({ diun: { tag: '99.0.1', update: {} } })
    expect(await ended()).toEqual(['diun applied'])
    expect(await stack.standing('gitea')).toBe(gitea)
  })
})

test('a proxy that calls itself healthy and leads nowhere goes back; Gitea is not touched, and updated after it', async () => {
  const gitea = await stack.standing('gitea')
  const leads = async () => (await stack.standing('nginx')).includes(`${stack.tag('nginx')} running`)
  await using door = await serve((_, answer) => {
    void leads().then((does) => answer.writeHead(does ? 308 : 502).end())
  })
  const health = {
    ...{ within: '2s', steady: '0s', soak: '0s' },
    checks: [{ container: 'healthy' }, { http: `${door.url}/`, status: 308, every: '20ms' }],
  }
  stack.publish('nginx', '1.98.0-alpine')
  await stack.want({ nginx: { tag: '1.98.0-alpine', health } })
  const { operations } = await stack.pass()
  expect(operations).toMatchObject([
    { service: 'nginx', result: 'reverted', reason: expect.stringContaining('HTTP 502') },
  ])
  expect(await stack.standing('nginx')).toContain(`${stack.tag('nginx')} running`)
  expect(await stack.standing('gitea')).toBe(gitea)
  stack.publish('gitea', '1.99.0')
  await stack.want({ gitea: { tag: '1.99.0' } })
  expect(await ended()).toEqual(['gitea applied'])
})

test('another major of PostgreSQL is refused before anything is done, with its place in the file', async () => {
  const before = await others()
  await stack.want({ postgres: { tag: '19.0' } })
  const { findings, operations } = await stack.pass()
  expect(findings).toMatchObject([
    { file: 'desired-state/services/postgres.yaml', key: 'tag', message: expect.stringContaining('19.0') },
  ])
  expect(operations).toEqual([])
  expect(await others()).toEqual(before)
})
