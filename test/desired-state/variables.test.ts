import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type FoundSecret,
  missingSentence,
  resolveVariables,
  standInVariables,
} from '../../reconciler/desired-state/variables.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'samovar-variables-'))
})
afterEach(() => rm(folder, { recursive: true }))

const sources = (environment: Record<string, string>, manager: Record<string, FoundSecret> = {}) => ({
  lookup: (name: string) => environment[name],
  secretsManager: async (reference: string) =>
    manager[reference] ?? { why: `${reference} is nowhere`, next: 'create it' },
  standIn: (name: string) => `stand-in-of-${name}`,
})

describe('variables', () => {
  test('texts stay, secrets come from the environment, files and Secrets Manager, and are told apart for masking', async () => {
    await writeFile(join(folder, 'password'), 'from a file \r\n')
    const { variables, secrets, missing } = await resolveVariables(
      {
        variables: {
          DOMAIN: 'a.b',
          A: { secret: 'env:TOKEN' },
          B: { secret: `file:${join(folder, 'password')}` },
          C: { secret: 'aws-sm:gitea/postgres#password' },
        },
      },
      sources({ TOKEN: 'from:the:environment' }, { 'gitea/postgres#password': { value: 'from afar' } }),
    )
    expect(variables).toEqual({
      DOMAIN: 'a.b',
      A: 'from:the:environment',
      B: 'from a file ',
      C: 'from afar',
    })
    expect([...secrets.values()]).toEqual(['from:the:environment', 'from a file ', 'from afar'])
    expect(missing).toEqual([])
  })

  test('each one that is missing is told with what to do and without any value, and the others have theirs', async () => {
    await writeFile(join(folder, 'empty'), '\n')
    await writeFile(join(folder, 'large'), 'x'.repeat(65 * 1024))
    const { variables, secrets, missing } = await resolveVariables(
      {
        variables: {
          PLAIN: 'hunter2',
          GOOD: { secret: 'env:GOOD' },
          A: { secret: 'env:NOT_SET' },
          B: { secret: 'env:EMPTY' },
          C: { secret: `file:${join(folder, 'nowhere')}` },
          D: { secret: `file:${join(folder, 'empty')}` },
          E: { secret: `file:${folder}` },
          F: { secret: `file:${join(folder, 'large')}` },
          G: { secret: 'aws-sm:gitea/postgres#password' },
        },
      },
      sources({ GOOD: 'hunter3', EMPTY: '' }),
    )
    expect(missing.map(missingSentence)).toEqual([
      'the secret A is missing: the environment variable NOT_SET is not set; next: set it for Samovar and start it again',
      'the secret B is missing: the environment variable EMPTY is empty; next: set it for Samovar and start it again',
      `the secret C is missing: ${folder}/nowhere does not exist; next: create it, readable for Samovar only`,
      `the secret D is missing: ${folder}/empty is empty; next: write the value into it`,
      `the secret E is missing: ${folder} is not a regular file; next: put the value into one`,
      `the secret F is missing: ${folder}/large is larger than 64 KiB; next: look whether it is the right file`,
      'the secret G is missing: gitea/postgres#password is nowhere; next: create it',
    ])
    expect(missing.map(missingSentence).join()).not.toMatch(/hunter/)
    expect([...secrets]).toEqual([['GOOD', 'hunter3']])
    expect(variables).toMatchObject({ PLAIN: 'hunter2', GOOD: 'hunter3', A: 'stand-in-of-A' })
  })

  test('a pull request is validated without any secret', () => {
    expect(standInVariables({ variables: { A: 'x', B: { secret: 'env:B' } } })).toEqual({
      A: 'x',
      B: 'secret-B',
    })
  })
})
