import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { look, newMemory, type Outlook } from '../../reconciler/look.ts'
import type { HeadPlan } from '../../reconciler/pull-requests/head-plan.ts'
import { outcomeComment, planComment, planStatus } from '../../reconciler/pull-requests/plan-comment.ts'
import {
  fingerprintOfPlan,
  isAsTold,
  plannedChanges,
} from '../../reconciler/pull-requests/plan-fingerprint.ts'
import { planHead } from '../../reconciler/pull-requests/plan-head.ts'
import { gitIn } from '../git/source.ts'
import { pushWeb } from '../rig/images.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { startHost, type TestHost, webService } from './test-host.ts'

/** Somebody with a clone of his own, who opens pull request #7. */
async function contributor(host: TestHost) {
  const folder = await tempFolder('contributor')
  return {
    async offer(files: Record<string, string>): Promise<string> {
      await rm(folder.path, { recursive: true, force: true })
      await mkdir(folder.path)
      await gitIn(folder.path, 'clone', '-q', join(host.git.folder, 'host.git'), '.')
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(folder.path, path)), { recursive: true })
        await writeFile(join(folder.path, path), content)
      }
      await gitIn(folder.path, 'add', '-A')
      await gitIn(folder.path, 'commit', '-q', '-m', 'offer')
      await gitIn(folder.path, 'push', '-q', '-f', 'origin', 'HEAD:refs/pull/7/head')
      return gitIn(folder.path, 'rev-parse', 'HEAD')
    },
    merge: () => gitIn(folder.path, 'push', '-q', 'origin', 'HEAD:main'),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

async function lookAt(host: TestHost): Promise<Outlook> {
  const seen = await look(await host.parts(), newMemory(), { fetch: true, ignoreWindows: false })
  if (!('plan' in seen)) throw new Error(JSON.stringify(seen.findings))
  return seen
}

const planOf = async (host: TestHost): Promise<HeadPlan> =>
  planHead({ parts: await host.parts(), outlook: await lookAt(host), number: 7, head: '' })

/** Everything of the engine and the state directory that a plan must leave alone. */
async function standing(host: TestHost): Promise<unknown> {
  const docker = host.rig.docker
  const filters = { label: [`com.docker.compose.project=${host.project}`] }
  const containers = await docker.listContainers({ all: true, filters })
  const files = await readdir(host.stateDir, { recursive: true })
  return {
    containers: containers.map((each) => [each.Id, each.State]),
    networks: (await docker.listNetworks({ filters })).map((each) => each.Id),
    images: (await docker.listImages()).map((each) => each.Id).sort(),
    files: files.filter((file) => !/^(pull-requests|journal|source-lock)/.test(file)).sort(),
  }
}

const composeWith = (port: number, more: string): string =>
  `services:\n  web:\n    image: web\n    restart: unless-stopped\n    ports: ["127.0.0.1:${port}:8080"]\n${more}`

test('a pull request is planned against the running host, leaves it as it is, and the merge does what was told', async () => {
  await using host = await startHost('plan', (port) =>
    composeWith(port, '    volumes: ["./site:/site"]\n    environment: { A: "1" }\n'),
  )
  await host.commit({ 'compose/site/index.html': 'old\n' })
  await host.pass()
  await using alice = await contributor(host)
  const head = await alice.offer({
    'desired-state/services/web.yaml': webService(host.rig, { version: '1.1.0' }),
    'compose/compose.yaml': composeWith(
      host.port,
      '    volumes: ["./site:/site"]\n    environment: { A: "2" }\n    cap_drop: [NET_RAW]\n',
    ),
    'compose/site/index.html': 'new\n',
  })
  await lookAt(host)
  const before = await standing(host)
  const plan = await planOf(host)
  expect(await standing(host)).toEqual(before)
  expect(plan).toMatchObject({ head, refused: null, findings: [], standing: 'current', order: ['web'] })
  expect(plan.changes).toMatchObject([
    {
      action: 'replace',
      image: { before: { tag: '1.0.0' }, after: { tag: '1.1.0', digest: expect.stringMatching(/^sha256:/) } },
      fields: ['cap_drop', 'environment.A', 'volumes./site'],
      problems: [],
      held: null,
    },
  ])
  expect(plan.disk.free).toBeGreaterThan(0)
  const { state, description } = planStatus(plan)
  expect([state, description]).toEqual([
    'success',
    'would replace web 1.0.0 -> 1.1.0; downtime not known yet: nothing was replaced here before',
  ])
  expect(planComment(plan, { hostName: 'host.example.com', now: Date.now() })).toContain(
    '`cap_drop`, `environment.A`, `volumes./site`',
  )

  await alice.merge()
  const { considered } = await lookAt(host)
  if (considered === undefined) throw new Error('nothing was planned')
  expect(fingerprintOfPlan(considered)).toBe(plan.fingerprint)
  const changed = plannedChanges(considered).map(({ covered }) => covered)
  expect(changed[0]?.fields).toEqual(['cap_drop', 'environment', 'volumes'])
  const report = await host.pass()
  expect(report.operations).toMatchObject([{ kind: 'replace', result: 'applied' }])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.1.0' } })
  const comment = outcomeComment(plan, {
    ...{ hostName: 'host.example.com', now: Date.now(), timezone: 'UTC', commit: head, instead: null },
    nothing: false,
    operations: report.operations,
  })
  expect(comment).toContain('the change was made')

  // From now on it is known how long a swap takes.
  await alice.offer({ 'desired-state/services/web.yaml': webService(host.rig, { version: '1.0.0' }) })
  const next = await planOf(host)
  expect(next.changes[0]?.downtime).toMatchObject({ of: 'service', count: 1 })
  expect(isAsTold(next.fingerprint, plan.fingerprint)).toBe(false)
})

test('what the roll-out would refuse is told before the merge: another major, data that would be left behind', async () => {
  const rig = (host: TestHost) => host.rig.registry
  const yaml = (name: string, tag: string) => (host: TestHost) =>
    `image: ${rig(host)}/${name}\ntag: "${tag}"\nhealth: { within: 20s, steady: 200ms, soak: 0s }\n`
  await using host = await startHost('refused', (port) =>
    [
      composeWith(port, ''),
      '  database:\n    image: database\n    volumes: ["files:/data"]\n',
      '  store:\n    image: store\n    volumes: ["kept:/data"]\n',
      'volumes: { files: {}, kept: {} }\n',
    ].join(''),
  )
  for (const major of ['15', '16'])
    await pushWeb(rig(host), `1.0.${major}`, 'good', {
      ...{ name: 'database', tag: `${major}.1` },
      extra: { Env: ['PATH=/usr/bin:/bin', `PG_MAJOR=${major}`] },
    })
  await host.commit({
    'desired-state/services/database.yaml': yaml('database', '15.1')(host),
    'desired-state/services/store.yaml': yaml('store', '1.0.0')(host),
  })
  const { operations } = await host.pass()
  expect(operations.map((each) => each.result)).toEqual(['applied', 'applied', 'applied'])
  await using alice = await contributor(host)
  await alice.offer({
    'desired-state/services/database.yaml': yaml('database', '16.1')(host),
    'desired-state/services/store.yaml': yaml('store', '1.1.0')(host),
    'compose/compose.yaml': [
      composeWith(host.port, ''),
      '  database:\n    image: database\n    volumes: ["files:/data"]\n',
      '  store:\n    image: store\n',
      'volumes: { files: {}, kept: {} }\n',
    ].join(''),
  })
  const plan = await planOf(host)
  const problems = Object.fromEntries(plan.changes.map((each) => [each.service, each.problems]))
  expect(problems).toEqual({
    database: [expect.stringContaining('would go from PostgreSQL 15 to 16')],
    store: [expect.stringContaining('/data is an anonymous volume')],
  })
  expect(planStatus(plan).state).toBe('failure')

  // And that is what the roll-out says.
  await alice.merge()
  const report = await host.pass()
  for (const operation of report.operations) {
    expect(operation.result).toBe('untouched')
    expect(operation.reason).toMatch(/would go from PostgreSQL 15 to 16|anonymous volume/)
  }
  expect(report.operations.length).toBe(2)
})
