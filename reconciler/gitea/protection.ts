import type { BranchProtection } from './setup-calls.ts'

/** The status in which Samovar says whether a pull request would work on the host. */
export const planContext = 'samovar/plan'

/**
 * The status of .gitea/workflows/validate.yaml on a pull request. Gitea names it
 * `<workflow> / <job> (<event>)`; test/workflows keeps the two equal.
 */
export const validateContext = 'validate / validate (pull_request)'

/** Whoever could change a workflow in a pull request could make its own check say yes. */
export const protectedPaths = ['.gitea/**']

/** Required statuses are globs in Gitea; this one matches the text and nothing else. */
export const globOf = (text: string): string => text.replaceAll(/[*?[\]{}\\]/g, String.raw`\$&`)

export type ProtectionWanted = { branch: string; requiredStatuses: string[]; approvals: number }

export const newProtection = (wanted: ProtectionWanted): BranchProtection => ({
  rule: wanted.branch,
  directPush: false,
  requiredStatuses: wanted.requiredStatuses.map(globOf),
  requiredApprovals: wanted.approvals,
  blockOnRejectedReviews: true,
  dismissStaleApprovals: true,
  protectedPaths,
})

type Change = Partial<Omit<BranchProtection, 'rule'>>

/**
 * What is missing in a protection that is there already. It only ever gets stricter: more required statuses, more
 * approvals and more protected paths than are asked for are somebody's decision.
 *
 * @returns the fields to change, and in words what that does; both empty when nothing is missing
 */
export function protectionChange(
  now: BranchProtection,
  wanted: BranchProtection,
): { change: Change; details: string[] } {
  const statuses = wanted.requiredStatuses.filter((each) => !now.requiredStatuses.includes(each))
  const paths = wanted.protectedPaths.filter((each) => !now.protectedPaths.includes(each))
  const steps: [boolean, Change, string][] = [
    [now.directPush && !wanted.directPush, { directPush: false }, 'nobody pushes directly'],
    [
      statuses.length > 0,
      { requiredStatuses: [...now.requiredStatuses, ...statuses] },
      `requires ${statuses.join(', ')}`,
    ],
    [
      now.requiredApprovals < wanted.requiredApprovals,
      { requiredApprovals: wanted.requiredApprovals },
      `${wanted.requiredApprovals === 1 ? '1 approval' : `${wanted.requiredApprovals} approvals`} instead of ${now.requiredApprovals}`,
    ],
    [
      wanted.blockOnRejectedReviews && !now.blockOnRejectedReviews,
      { blockOnRejectedReviews: true },
      'a rejecting review blocks merging',
    ],
    [
      wanted.dismissStaleApprovals && !now.dismissStaleApprovals,
      { dismissStaleApprovals: true },
      'a push takes approvals back',
    ],
    [
      paths.length > 0,
      { protectedPaths: [...now.protectedPaths, ...paths] },
      `nobody changes ${paths.join(', ')}`,
    ],
  ]
  const missing = steps.filter(([isMissing]) => isMissing)
  return {
    change: Object.assign({}, ...missing.map(([, change]) => change)) as Change,
    details: missing.map(([, , detail]) => detail),
  }
}
