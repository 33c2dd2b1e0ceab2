import { describe, expect, test } from 'vitest'
import { openSecretsManager } from '../../reconciler/secrets/secrets-manager.ts'

type Ask = NonNullable<Parameters<typeof openSecretsManager>[1]>
type Answer = Awaited<ReturnType<Ask>>

const minutes = 60_000

/** A Secrets Manager on a clock of the test, whose answers the test sets. */
function stage(answers: Record<string, Answer>) {
  const asked: string[] = []
  const state = { now: Date.UTC(2026, 10, 22, 12), answers }
  const manager = openSecretsManager(
    () => state.now,
    async (name) => {
      asked.push(name)
      return state.answers[name] ?? { gone: { why: 'it is not there', next: 'create it' } }
    },
  )
  return { asked, state, read: (reference: string) => manager.read(reference) }
}

const outage: Answer = { failed: { why: 'it does not answer', next: 'wait' } }

describe('a secret of Secrets Manager', () => {
  test('is the whole text, or what a key of a JSON object says', async () => {
    const { read } = stage({
      plain: { text: 'a#b\n' },
      'gitea/postgres': { text: '{"password":"p","port":5432,"on":true,"none":"","deep":{}}' },
      'arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-AbCdEf': { text: '{"k":"v"}' },
    })
    expect(await read('plain')).toEqual({ value: 'a#b' })
    expect(await read('gitea/postgres#password')).toEqual({ value: 'p' })
    expect(await read('gitea/postgres#port')).toEqual({ value: '5432' })
    expect(await read('gitea/postgres#on')).toEqual({ value: 'true' })
    const arn = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-AbCdEf#k'
    expect(await read(arn)).toEqual({ value: 'v' })
  })

  test('that is missing, empty or of another form is told without what it says', async () => {
    const { read } = stage({
      object: { text: '{"password":"hunter2","none":"","deep":{"hunter3":1}}' },
      list: { text: '["hunter4"]' },
      text: { text: 'hunter5' },
      empty: { text: '\n' },
    })
    const references = ['nowhere#x', 'object#pass', 'object#none', 'object#deep', 'object#toString']
    const said = await Promise.all([...references, 'list#0', 'text#x', 'empty'].map((each) => read(each)))
    expect(said.map((each) => ('why' in each ? each.why : 'a value'))).toEqual([
      'nowhere: it is not there',
      'object has no text under the key pass',
      'object has no text under the key none',
      'object has no text under the key deep',
      'object has no text under the key toString',
      'list is no JSON object, so it has no key 0',
      'text is no JSON object, so it has no key x',
      'empty is empty in Secrets Manager',
    ])
    expect(JSON.stringify(said)).not.toContain('hunter')
  })

  test('is asked for once in five minutes, whatever reads it and however many of its keys', async () => {
    const { read, asked, state } = stage({ both: { text: '{"a":"1","b":"2"}' } })
    await Promise.all([read('both#a'), read('both#b')])
    state.now += 4 * minutes
    await read('both#a')
    expect(asked).toEqual(['both'])
    state.answers = { both: { text: '{"a":"3"}' } }
    state.now += 2 * minutes
    expect(await read('both#a')).toEqual({ value: '3' })
    expect(asked).toEqual(['both', 'both'])
  })

  test('keeps its last value in an outage, says so alike each time, and is well again by itself', async () => {
    const { read, asked, state } = stage({ plain: { text: 'before' } })
    await read('plain')
    state.answers = { plain: outage }
    state.now += 6 * minutes
    const first = await read('plain')
    expect(first).toEqual({
      value: 'before',
      outage: expect.stringMatching(/^plain: it does not answer; the value of .* stays in use; next: wait$/),
    })
    state.now += 30_000
    expect(await read('plain')).toEqual(first)
    expect(asked.length).toBe(2)
    state.now += 60 * minutes
    expect(await read('plain')).toEqual(first)
    state.answers = { plain: { text: 'after' } }
    state.now += 2 * minutes
    expect(await read('plain')).toEqual({ value: 'after' })
  })

  test('that was never read is missing in an outage, and is asked for again after a minute', async () => {
    const { read, asked, state } = stage({ plain: outage })
    expect(await read('plain')).toEqual({ why: 'plain: it does not answer', next: 'wait' })
    await read('plain')
    expect(asked.length).toBe(1)
    state.answers = { plain: { text: 'there' } }
    state.now += 2 * minutes
    expect(await read('plain')).toEqual({ value: 'there' })
  })

  test('that was deleted is missing, although it was read before', async () => {
    const { read, state } = stage({ plain: { text: 'before' } })
    await read('plain')
    state.answers = {}
    state.now += 6 * minutes
    expect(await read('plain')).toMatchObject({ why: 'plain: it is not there' })
    state.answers = { plain: outage }
    state.now += 6 * minutes
    expect(await read('plain')).toMatchObject({ why: 'plain: it does not answer' })
  })
})
