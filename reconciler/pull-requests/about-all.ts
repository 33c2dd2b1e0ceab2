import { codeOf } from '../errors.ts'

/** What does not lie in one pull request: all others would meet the same. */
export const isAboutAll = (error: unknown): boolean =>
  ['forge-unreachable', 'source-unreachable', 'engine-unreachable', 'interrupted'].includes(
    codeOf(error) ?? '',
  )
