import { expect, test } from 'vitest'
import type { CommitStatus, StatusState } from '../../reconciler/gitea/forge.ts'
import { requiredAreGreen } from '../../reconciler/pull-requests/required-statuses.ts'

const statuses = (given: Record<string, StatusState>): CommitStatus[] =>
  Object.entries(given).map(([context, state]) => ({ context, state, description: '', targetUrl: '' }))
const plan: Record<string, StatusState> = { 'samovar/plan': 'success' }

test.each<[string[] | null, Record<string, StatusState>, boolean]>([
  [null, plan, true],
  [null, {}, false],
  [[], { ...plan, other: 'pending' }, false],
  [['samovar/plan'], { ...plan, other: 'failure' }, true],
  [['samovar/plan', 'validate / validate (pull_request)'], plan, false],
  [['validate / validate (pull_request)'], { 'validate / validate (pull_request)': 'pending' }, false],
  [['validate / validate (pull_request)'], { 'validate / validate (pull_request)': 'skipped' }, true],
  [['validate*'], { 'validate / a': 'success', 'validate / b': 'failure' }, false],
  [['validate*'], { 'validate / a': 'success', 'validate / b': 'success' }, true],
  [['{a,b}/?'], { 'a/1': 'success', 'b/2': 'warning' }, false],
  [['[ab]'], { a: 'success', c: 'failure' }, true],
  [['a.b'], { axb: 'success' }, false],
  [['validate \\(pull_request\\)'], { 'validate (pull_request)': 'success' }, true],
  [['['], { '[': 'success' }, true],
])('required %j with %j: may be merged %s', (required, given, expected) => {
  expect(requiredAreGreen(required, statuses(given))).toBe(expected)
})
