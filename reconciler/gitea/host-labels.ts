import type { Label } from './forge.ts'

/**
 * The labels of Samovar's own pull requests. They are known by their names: colours and descriptions may be changed
 * in Gitea, and are left as they are then.
 */
export const hostLabels = {
  /** On each of them. */
  all: { name: 'samovar', color: '#5319e7', description: 'Opened by Samovar' },
  bump: { name: 'samovar/bump', color: '#1d76db', description: 'A newer version of a service' },
  revert: {
    name: 'samovar/revert',
    color: '#d93f0b',
    description: 'Takes back a version that was put back on the host',
  },
  automatic: {
    name: 'samovar/automatic',
    color: '#0e8a16',
    description: 'Samovar merges it when every required check has passed',
  },
} as const satisfies Record<string, Omit<Label, 'id'>>
