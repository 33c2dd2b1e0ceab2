import { codeOf } from '../errors.ts'

/** Gitea, Git or the engine is away, or the end has come: every other pull request would meet the same. */
export const isOutage = (error: unknown): boolean =>
  ['forge-unreachable', 'source-unreachable', 'engine-unreachable', 'interrupted'].includes(
    codeOf(error) ?? '',
  )
