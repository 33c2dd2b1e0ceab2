import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { bootstrapVerb } from '../../reconciler/cli/bootstrap.ts'
import { tokenScopes } from '../../reconciler/gitea/bootstrap-account.ts'
import { hostLabels } from '../../reconciler/gitea/host-labels.ts'
import { planContext, protectedPaths, validateContext } from '../../reconciler/gitea/protection.ts'

const text = await readFile('docs/gitea.md', 'utf8')

describe('docs/gitea.md', () => {
  test('names the scopes of the token, all of them and no other', () => {
    const named = [...text.matchAll(/^\| `((?:read|write):\w+)` \|/gm)].map(([, scope]) => scope)
    expect(named).toEqual(tokenScopes)
  })

  test('names every label, required status and protected path as they are', () => {
    for (const { name } of Object.values(hostLabels)) expect(text).toContain(`\`${name}\``)
    for (const context of [planContext, validateContext]) expect(text).toContain(`required: \`${context}\``)
    for (const path of protectedPaths) expect(text).toContain(`nobody changes \`${path}\``)
  })

  test('explains every option of the verb', () => {
    for (const name of Object.keys(bootstrapVerb.options)) expect(text).toContain(`--${name}`)
  })
})
