import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SamovarError } from '../../reconciler/errors.ts'
import { planComment, planStatus } from '../../reconciler/pull-requests/plan-comment.ts'
import { fingerprintOfPlan, isAsTold } from '../../reconciler/pull-requests/plan-fingerprint.ts'
import { hostFile, image, openStage, type Stage, serviceFile } from './stage.ts'

const compose = (web: string, more = ''): string => `services:\n  web:\n    image: web\n${web}${more}`

const simple = (extra = ''): Record<string, string> => ({
  'desired-state/host.yaml': hostFile(extra),
  'desired-state/services/web.yaml': serviceFile('1.0.0'),
  'compose/compose.yaml': compose('    environment: { A: "1" }\n'),
})

const fingerprintNow = async (stage: Stage): Promise<string> => {
  const { considered } = await stage.look()
  return considered === undefined ? '' : fingerprintOfPlan(considered)
}

test('a new tag is planned with both digests, and what is told is what the merge does', async () => {
  await using stage = await openStage(simple())
  await stage.pass()
  const head = await stage.offer({ 'desired-state/services/web.yaml': serviceFile('1.1.0') })
  const plan = await stage.plan()
  expect(plan).toMatchObject({
    number: 7,
    head,
    standing: 'current',
    refused: null,
    findings: [],
    order: ['web'],
    unchanged: 0,
    changes: [
      {
        service: 'web',
        action: 'replace',
        image: {
          before: { name: image, tag: '1.0.0' },
          after: { name: image, tag: '1.1.0', digest: await stage.host.engine.resolve(`${image}:1.1.0`) },
        },
        fields: [],
        held: null,
        problems: [],
        pending: false,
        drift: false,
      },
    ],
  })
  expect(planStatus(plan)).toMatchObject({
    state: 'success',
    description: expect.stringContaining('replace web 1.0.0 -> 1.1.0'),
  })
  await stage.merge()
  expect(isAsTold(plan.fingerprint, await fingerprintNow(stage))).toBe(true)
  const { operations } = await stage.pass()
  expect(operations).toMatchObject([{ service: 'web', kind: 'replace', result: 'applied' }])
})

test('nothing is written to the host, the journal or the state directory for a plan, and nothing is pulled', async () => {
  await using stage = await openStage({
    ...simple(),
    'compose/compose.yaml': compose('    volumes: ["./site:/site"]\n'),
    'compose/site/index.html': 'old',
  })
  await stage.pass()
  await stage.offer({
    'desired-state/services/web.yaml': serviceFile('1.1.0'),
    'compose/site/index.html': 'new',
  })
  const outlook = await stage.look()
  const filesBefore = (await readdir(stage.stateDir, { recursive: true })).toSorted()
  const notesBefore = stage.journal.note('last-good-commit')
  stage.host.calls.length = 0
  const plan = await stage.plan({ outlook })
  expect(plan.changes).toMatchObject([{ service: 'web', action: 'replace', fields: ['volumes./site'] }])
  const after = (await readdir(stage.stateDir, { recursive: true })).toSorted()
  expect(after.filter((file) => !file.startsWith('pull-requests'))).toEqual(filesBefore)
  expect(await readdir(join(stage.stateDir, 'pull-requests'))).toEqual([])
  expect(stage.journal.note('last-good-commit')).toBe(notesBefore)
  expect(stage.journal.digestOf(plan.head, `${image}:1.1.0`)).toBeNull()
  expect(stage.host.calls.filter((call) => !/^(observe|inspect|images|resolve|freeDisk)/.test(call))).toEqual(
    [],
  )
  await stage.merge()
  expect(isAsTold(plan.fingerprint, await fingerprintNow(stage))).toBe(true)
})

test('findings are told with their place, and nothing else is planned', async () => {
  await using stage = await openStage(simple())
  await stage.pass()
  await stage.offer({ 'desired-state/services/web.yaml': `${serviceFile('1.1.0')}healht: {}\n` })
  const plan = await stage.plan()
  expect(plan.changes).toEqual([])
  expect(plan.findings).toMatchObject([{ file: 'desired-state/services/web.yaml', column: 1 }])
  expect(planStatus(plan)).toMatchObject({
    state: 'failure',
    description: expect.stringContaining('1 finding: desired-state'),
  })
})

test('no registry is asked for an image that the commit in force does not name for that service', async () => {
  await using stage = await openStage(simple())
  await stage.pass()
  await stage.offer({
    'desired-state/services/web.yaml': 'image: attacker.example.com/web\ntag: 1.0.0\n',
  })
  stage.host.calls.length = 0
  const plan = await stage.plan()
  expect(stage.host.calls.filter((call) => call.startsWith('resolve'))).toEqual([])
  expect(plan.changes).toMatchObject([
    {
      action: 'replace',
      image: { after: { name: 'attacker.example.com/web', tag: '1.0.0', digest: '' } },
      problems: [],
    },
  ])
  expect(planComment(plan, { hostName: 'host', now: Date.now() })).toContain('digest not known yet')
})

test('a tag that the registry does not have would be refused, and the reason is told', async () => {
  await using stage = await openStage(simple())
  await stage.pass()
  await stage.offer({ 'desired-state/services/web.yaml': serviceFile('9.9.9') })
  const plan = await stage.plan()
  expect(planStatus(plan)).toMatchObject({
    state: 'failure',
    description: expect.stringMatching(/web would be refused: .*9\.9\.9/),
  })
})

test('a version that was reverted here would be refused, until its configuration or its digest is another one', async () => {
  await using stage = await openStage(simple())
  await stage.pass()
  stage.host.publish(`${image}:1.1.0`, { health: 'unhealthy' })
  await stage.offer({ 'desired-state/services/web.yaml': serviceFile('1.1.0') })
  const digest = await stage.host.engine.resolve(`${image}:1.1.0`)
  const outlook = await stage.look()
  const configuration = outlook.targets.list[0]?.configuration ?? ''
  stage.journal.quarantine({
    ...{ service: 'web', digest, configuration, operation: '20261122-031502-9f3c' },
    ...{ reason: 'not healthy', at: Date.now() },
  })
  const plan = await stage.plan()
  expect(plan.changes[0]?.problems).toEqual([expect.stringContaining('quarantined')])
  expect(planStatus(plan).state).toBe('failure')
  await stage.offer({
    'desired-state/services/web.yaml': serviceFile('1.1.0'),
    'compose/compose.yaml': compose('    environment: { A: "2" }\n'),
  })
  const other = await stage.plan()
  expect(other.changes[0]).toMatchObject({ problems: [], fields: ['environment.A'] })
})

test('a change that waits for its window is told with the moment, and is no failure', async () => {
  const windows = 'timezone: UTC\nwindows: { weekly: { opens: "15 3 * * 0", for: 1m } }\n'
  const waiting = (tag: string) => serviceFile(tag, 'update: { window: weekly }\n')
  await using stage = await openStage({
    ...simple(windows),
    'desired-state/services/web.yaml': waiting('1.0.0'),
  })
  await stage.pass()
  await stage.offer({ 'desired-state/services/web.yaml': waiting('1.1.0') })
  const plan = await stage.plan()
  expect(plan.changes).toMatchObject([{ action: 'replace', problems: [], window: { name: 'weekly' } }])
  expect(plan.changes[0]?.held).toContain('waits for the window')
  expect(plan.changes[0]?.window?.opensAt).toBeGreaterThan(Date.now())
  expect(planStatus(plan).state).toBe('success')
  await stage.merge()
  // Held back or not, what is asked for is the same.
  expect(isAsTold(plan.fingerprint, await fingerprintNow(stage))).toBe(true)
})

test('what is broken on the host is mended with or without the pull request, and is not told as its doing', async () => {
  await using stage = await openStage(simple())
  await stage.pass()
  const [web] = await stage.host.engine.observe('site')
  await stage.host.engine.stop(web as NonNullable<typeof web>)
  await stage.offer({ 'README.md': 'hello\n' })
  const plan = await stage.plan()
  expect(plan.changes).toMatchObject([{ service: 'web', action: 'start', drift: true }])
  expect(planStatus(plan).description).toBe('valid; it changes nothing that runs')
  await stage.pass()
  await stage.merge()
  expect(isAsTold(plan.fingerprint, await fingerprintNow(stage))).toBe(true)
})

test('what the commit in force asks for already is told as that', async () => {
  const windows = 'timezone: UTC\nwindows: { weekly: { opens: "15 3 * * 0", for: 1m } }\n'
  const waiting = (tag: string) => serviceFile(tag, 'update: { window: weekly }\n')
  await using stage = await openStage({
    ...simple(windows),
    'desired-state/services/web.yaml': waiting('1.0.0'),
  })
  await stage.pass()
  await stage.commit({ 'desired-state/services/web.yaml': waiting('1.1.0') })
  await stage.pass()
  await stage.offer({ 'README.md': 'hello\n' })
  const plan = await stage.plan()
  expect(plan.changes).toMatchObject([{ action: 'replace', pending: true, drift: false }])
  expect(planStatus(plan).description).toBe('valid; it changes nothing that runs')
})

test('a plan is no longer true when the tag means another image by the merge', async () => {
  let hasMoved = false
  const other = `sha256:${'9'.repeat(64)}`
  await using stage = await openStage(simple(), {
    engine: ({ engine }) => ({
      resolve: async (reference) => (hasMoved ? other : engine.resolve(reference)),
    }),
  })
  await stage.pass()
  await stage.offer({ 'desired-state/services/web.yaml': serviceFile('1.1.0') })
  const plan = await stage.plan()
  hasMoved = true
  await stage.merge()
  expect(isAsTold(plan.fingerprint, await fingerprintNow(stage))).toBe(false)
})

test('a pull request that is gone is an answer; a Git that is away is tried again later', async () => {
  await using stage = await openStage(simple())
  await stage.pass()
  await stage.offer({})
  const outlook = await stage.look()
  const gone = await stage.plan({ outlook, number: 99, head: 'f'.repeat(40) })
  expect(gone).toMatchObject({ head: 'f'.repeat(40), refused: expect.stringContaining('#99') })
  stage.git.fail('unreachable')
  await expect(stage.plan({ outlook })).rejects.toMatchObject({ code: 'source-unreachable' })
})

test('an engine that is away is no fault of the pull request', async () => {
  const away = new SamovarError('engine-unreachable', 'it does not answer')
  let isAway = false
  await using stage = await openStage(simple(), {
    engine: ({ engine }) => ({ images: () => (isAway ? Promise.reject(away) : engine.images()) }),
  })
  await stage.pass()
  await stage.offer({ 'desired-state/services/web.yaml': serviceFile('1.1.0') })
  const outlook = await stage.look()
  isAway = true
  await expect(stage.plan({ outlook })).rejects.toMatchObject({ code: 'engine-unreachable' })
  expect(await readdir(join(stage.stateDir, 'pull-requests'))).toEqual([])
})

test('a branch that is behind does not tell what it would take back', async () => {
  await using stage = await openStage(simple())
  await stage.pass()
  await stage.offer({ 'compose/compose.yaml': compose('    environment: { A: "2" }\n') })
  await stage.commit({ 'desired-state/services/web.yaml': serviceFile('1.1.0') })
  await stage.pass()
  const plan = await stage.plan()
  expect(plan.standing).toBe('merged')
  expect(plan.changes).toMatchObject([{ action: 'replace', image: null, fields: ['environment.A'] }])
})

test('a service that comes and one that leaves are told', async () => {
  const second = '  second:\n    image: web\n'
  await using stage = await openStage(simple())
  await stage.pass()
  await stage.offer({
    'desired-state/services/second.yaml': serviceFile('1.0.0'),
    'compose/compose.yaml': compose('    environment: { A: "1" }\n', second),
  })
  const coming = await stage.plan()
  expect(coming.changes).toMatchObject([
    { service: 'second', action: 'create', image: { before: null, after: { tag: '1.0.0' } } },
  ])
  expect(coming.unchanged).toBe(1)
  await stage.merge()
  expect(isAsTold(coming.fingerprint, await fingerprintNow(stage))).toBe(true)
  await stage.pass()
  await stage.offer({
    'desired-state/services/second.yaml': null,
    'compose/compose.yaml': compose('    environment: { A: "1" }\n'),
  })
  const leaving = await stage.plan()
  expect(leaving.changes).toMatchObject([{ service: 'second', action: 'remove', image: { after: null } }])
  await stage.merge()
  expect(isAsTold(leaving.fingerprint, await fingerprintNow(stage))).toBe(true)
})

test('another project, too many services and too much time are answers, and the checkout is gone', async () => {
  await using stage = await openStage(simple())
  await stage.pass()
  await stage.offer({ 'desired-state/host.yaml': hostFile().replace('project: site', 'project: other') })
  expect((await stage.plan()).refused).toContain('project')
  await stage.offer({})
  expect((await stage.plan({ limits: { services: 0 } })).refused).toContain(
    'at most 0 are planned; next: split',
  )
  expect((await stage.plan({ limits: { files: 1 } })).refused).toContain('more than 1 files')
  const outlook = await stage.look()
  for (const withinMs of [150, 250, 350, 450, 600]) {
    const { refused } = await stage.plan({ outlook, limits: { withinMs } })
    expect(refused === null || refused.includes('took longer than')).toBe(true)
  }
  const slow = await stage.plan({ limits: { withinMs: 1 } })
  expect(slow.refused).toContain('took longer than')
  expect(planStatus(slow).state).toBe('error')
  const folder = join(stage.stateDir, 'pull-requests')
  await expect.poll(() => readdir(folder), { timeout: 20_000 }).toEqual([])
})

test('data that goes with a change, its last size and the expected downtime are told', async () => {
  const store = 'backup: { stores: [{ file: /var/backups/none }] }\n'
  const withData = (tag: string) => serviceFile(tag, 'data: [{ volume: files }]\n')
  const body = compose('    volumes: ["files:/files"]\n', 'volumes: { files: {} }\n')
  await using stage = await openStage({
    ...simple(store),
    'desired-state/services/web.yaml': withData('1.0.0'),
    'compose/compose.yaml': body,
  })
  await stage.pass()
  stage.journal.recordBackup({
    ...{ id: 'b1', class: 'scheduled', services: ['web'], operation: 'o1', at: Date.now() - 7_200_000 },
    ...{ bytes: 40_000_000, plainBytes: 84_200_000, ms: 1000 },
  })
  await stage.offer({ 'desired-state/services/web.yaml': withData('1.1.0') })
  const plan = await stage.plan()
  expect(plan.changes[0]).toMatchObject({
    data: { owners: ['web'], volumes: ['files'], while: 'stopped', stop: ['web'], restore: true },
    downtime: null,
  })
  expect(plan.changes[0]?.data?.last?.bytes).toBe(84_200_000)
  expect(planComment(plan, { hostName: 'host', now: Date.now() })).toContain('last time 84.2 MB, 2 h ago')
})

test('variables and settings that change are told by their names', async () => {
  await using stage = await openStage({
    ...simple('variables: { A: one-1, B: two-2 }\n'),
    'compose/compose.yaml': compose('    environment: { A: "${A}" }\n'),
  })
  await stage.pass()
  await stage.offer({
    'desired-state/host.yaml': hostFile('variables: { A: one-9, C: three-3 }\npoll: 5m\n'),
  })
  const plan = await stage.plan()
  expect(plan.variables).toEqual({ changed: ['A'], new: ['C'], gone: ['B'] })
  expect(plan.settings).toEqual([{ of: 'host', keys: ['poll'] }])
  expect(plan.changes).toMatchObject([{ fields: ['environment.A'] }])
  await stage.merge()
  expect(isAsTold(plan.fingerprint, await fingerprintNow(stage))).toBe(true)
})
