import type { HeadChange, HeadPlan } from '../../reconciler/pull-requests/head-plan.ts'

export const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`
export const noon = Date.UTC(2026, 10, 22, 12)

/** gitea goes from 1.22.6 to 1.22.7. */
export const change = (other: Partial<HeadChange> = {}): HeadChange => ({
  service: 'gitea',
  action: 'replace',
  image: {
    before: { name: 'docker.io/gitea/gitea', tag: '1.22.6', digest: digestOf('a') },
    after: { name: 'docker.io/gitea/gitea', tag: '1.22.7', digest: digestOf('b') },
  },
  fields: [],
  configuration: 'c1',
  drift: false,
  pending: false,
  held: null,
  together: null,
  brings: [],
  stops: [],
  policy: 'manual',
  data: null,
  downtime: { ms: 12_000, of: 'service', count: 3 },
  window: null,
  problems: [],
  newSecrets: [],
  ...other,
})

export const plan = (other: Partial<HeadPlan> = {}): HeadPlan => ({
  number: 7,
  head: 'a'.repeat(40),
  against: 'b'.repeat(40),
  at: noon,
  timezone: 'Europe/Berlin',
  standing: 'current',
  findings: [],
  moreFindings: 0,
  refused: null,
  changes: [change()],
  order: ['gitea'],
  unchanged: 2,
  variables: { changed: [], new: [], gone: [] },
  settings: [],
  disk: { free: 20e9, needed: 1.4e9 },
  fingerprint: 'f',
  ...other,
})
