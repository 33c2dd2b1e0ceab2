import { array, assert, boolean, constantFrom, nat, property, record, uniqueArray } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { globOf, newProtection, protectionChange } from '../../reconciler/gitea/protection.ts'
import type { BranchProtection } from '../../reconciler/gitea/setup-calls.ts'

const wanted = newProtection({ branch: 'main', requiredStatuses: ['samovar/plan'], approvals: 1 })
const change = (now: Partial<BranchProtection>) => protectionChange({ ...wanted, ...now }, wanted)

describe('branch protection', () => {
  test.each<[string, Partial<BranchProtection>, object, string]>([
    ['pushes', { directPush: true }, { directPush: false }, 'nobody pushes directly'],
    [
      'a status',
      { requiredStatuses: ['lint'] },
      { requiredStatuses: ['lint', 'samovar/plan'] },
      'requires samovar/plan',
    ],
    ['approvals', { requiredApprovals: 0 }, { requiredApprovals: 1 }, '1 approval instead of 0'],
    [
      'protected paths',
      { protectedPaths: ['keys/**'] },
      { protectedPaths: ['keys/**', '.gitea/**'] },
      'nobody changes .gitea/**',
    ],
  ])('says what it changes and changes nothing else: %s', (_, now, fields, detail) => {
    expect(change(now)).toEqual({ change: fields, details: [detail] })
  })

  test('whatever there is, it only gets stricter, and a second time nothing is missing', () => {
    const names = (...of: string[]) => uniqueArray(constantFrom(...of))
    const any = record({
      rule: constantFrom('main'),
      directPush: boolean(),
      requiredStatuses: names('samovar/plan', 'lint', 'test / *'),
      requiredApprovals: nat(3),
      blockOnRejectedReviews: boolean(),
      dismissStaleApprovals: boolean(),
      protectedPaths: names('.gitea/**', 'keys/**'),
    })
    assert(
      property(any, (now) => {
        const after = { ...now, ...protectionChange(now, wanted).change }
        expect(after.requiredStatuses).toEqual(expect.arrayContaining(now.requiredStatuses))
        expect(after.protectedPaths).toEqual(expect.arrayContaining(now.protectedPaths))
        expect(after.requiredApprovals).toBe(Math.max(now.requiredApprovals, 1))
        expect([after.directPush, after.blockOnRejectedReviews, after.dismissStaleApprovals]).toEqual([
          false,
          true,
          true,
        ])
        expect(protectionChange(after, wanted)).toEqual({ change: {}, details: [] })
      }),
    )
  })

  test('a context is required as it is written: characters of globs are escaped', () => {
    expect(globOf('validate / validate (pull_request)')).toBe('validate / validate (pull_request)')
    expect(globOf('build [a*] {x,y}?')).toBe(String.raw`build \[a\*\] \{x,y\}\?`)
    assert(
      property(array(constantFrom('a', '*', '\\', '[', '?')), (characters) => {
        expect(globOf(characters.join('')).replaceAll(/\\(.)/g, '$1')).toBe(characters.join(''))
      }),
    )
  })
})
