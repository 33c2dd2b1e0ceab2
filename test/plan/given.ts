import type { Running } from '../../reconciler/engine/engine.ts'
import type { Change } from '../../reconciler/plan/change.ts'
import type { Standing } from '../../reconciler/plan/hold.ts'
import { makePlan, type Plan, type PlanInput } from '../../reconciler/plan/plan.ts'
import type { Target } from '../../reconciler/plan/target.ts'

export const noon = Date.UTC(2026, 10, 22, 12)
export const digestOf = (tag: string) => `sha256:${Buffer.from(tag).toString('hex').padEnd(64, '0')}`
export const imageOf = (tag: string) => ({ name: 'registry.example.com/web', tag, digest: digestOf(tag) })

/** A service `web` at 1.0.0, as the desired state has it. */
export const target = (other: Partial<Target> = {}): Target => ({
  service: 'web',
  containerName: `site-${other.service ?? 'web'}-1`,
  image: imageOf('1.0.0'),
  imageId: 'id of 1.0.0',
  configuration: 'made so',
  dependsOn: [],
  shares: [],
  endsByItself: false,
  onDemand: false,
  window: null,
  problem: null,
  ...other,
})

/** The container that Samovar made for it. */
export const running = (other: Partial<Running> = {}): Running => ({
  instance: `container of ${other.service ?? 'web'}`,
  name: `site-${other.service ?? 'web'}-1`,
  service: 'web',
  node: '',
  image: { id: 'id of 1.0.0', ...imageOf('1.0.0') },
  state: 'running',
  health: 'healthy',
  exitCode: null,
  createdAt: 0,
  configuration: 'made so',
  operation: '20261122-110000-abcd',
  oneOff: false,
  networks: [],
  mounts: [],
  revision: '1',
  ...other,
})

export const standing = (other: Partial<Standing> = {}): Standing => ({
  now: noon,
  timezone: 'Europe/Berlin',
  windows: {},
  takes: new Map(),
  ignoreWindows: false,
  paused: new Set(),
  ownContainer: null,
  stuck: [],
  quarantined: [],
  dirty: [],
  setbacks: [],
  lastApplied: new Map(),
  ...other,
})

export const change = (other: Partial<Change> = {}): Change => ({
  service: 'web',
  action: 'replace',
  reasons: [],
  held: null,
  startsAt: null,
  drift: false,
  current: running(),
  together: null,
  ...other,
})

export const plan = (other: Partial<PlanInput> = {}): Plan =>
  makePlan({
    commit: 'c'.repeat(40),
    targets: [target()],
    running: [running()],
    looks: new Map(),
    standing: standing(),
    prune: false,
    ...other,
  })

/** `replace web`, in order; without what needs nothing. */
export const actions = ({ changes }: Plan): string[] =>
  changes.filter((each) => each.action !== 'none').map((each) => `${each.action} ${each.service}`)
