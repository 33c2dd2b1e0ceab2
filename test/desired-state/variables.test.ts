import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { resolveVariables, standInVariables } from '../../reconciler/desired-state/variables.ts'
import { codeOf, sentenceOf } from '../../reconciler/errors.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'samovar-variables-'))
})
afterEach(() => rm(folder, { recursive: true }))

const environment = (values: Record<string, string>) => (name: string) => values[name]

describe('variables', () => {
  test('texts stay, secrets come from the environment and from files, and are told apart for masking', async () => {
    await writeFile(join(folder, 'password'), 'from a file \r\n')
    const { variables, secrets } = await resolveVariables(
      {
        variables: {
          DOMAIN: 'a.b',
          A: { secret: 'env:TOKEN' },
          B: { secret: `file:${join(folder, 'password')}` },
        },
      },
      environment({ TOKEN: 'from:the:environment' }),
    )
    expect(variables).toEqual({ DOMAIN: 'a.b', A: 'from:the:environment', B: 'from a file ' })
    expect([...secrets]).toEqual(['from:the:environment', 'from a file '])
  })

  test('everything that is missing is named at once, with what to do and without any value', async () => {
    await writeFile(join(folder, 'empty'), '\n')
    const failure = await resolveVariables(
      {
        variables: {
          PLAIN: 'hunter2',
          GOOD: { secret: 'env:GOOD' },
          A: { secret: 'env:NOT_SET' },
          B: { secret: 'env:EMPTY' },
          C: { secret: `file:${join(folder, 'nowhere')}` },
          D: { secret: `file:${join(folder, 'empty')}` },
          E: { secret: `file:${folder}` },
          F: { secret: 'aws-sm:gitea/postgres#password' },
        },
      },
      environment({ GOOD: 'hunter3', EMPTY: '' }),
    ).catch((error: unknown) => error)
    expect(codeOf(failure)).toBe('settings-invalid')
    const sentence = sentenceOf(failure)
    expect(sentence).toBe(
      `The variables of host.yaml are not complete: A: the environment variable NOT_SET is not set; set it for Samovar; ` +
        `B: the environment variable EMPTY is empty; set it for Samovar; ` +
        `C: ${folder}/nowhere does not exist; create it with the value, readable for Samovar only; ` +
        `D: ${folder}/empty is empty; write the value into it; ` +
        `E: ${folder} is not a regular file; put the value into one; ` +
        `F: aws-sm: is not supported yet; use env:NAME or file:/path.`,
    )
    expect(sentence).not.toMatch(/hunter/)
  })

  test('a pull request is validated without any secret', () => {
    expect(standInVariables({ variables: { A: 'x', B: { secret: 'env:B' } } })).toEqual({
      A: 'x',
      B: 'secret-B',
    })
  })
})
