import { expect, test } from 'vitest'
import type { Engine } from '../../reconciler/engine/engine.ts'
import { SamovarError } from '../../reconciler/errors.ts'
import { newMemory } from '../../reconciler/look.ts'
import type { Parts } from '../../reconciler/parts.ts'
import { pass } from '../../reconciler/reconcile.ts'
import { rollBack } from '../../reconciler/roll-back.ts'
import type { PassOptions } from '../../reconciler/work.ts'
import { silent, startHost, type TestHost, webService } from './test-host.ts'

const compose = (port: number): string =>
  `services:\n  web:\n    image: web\n    restart: unless-stopped\n    stop_grace_period: 5s\n    ports: ["127.0.0.1:${port}:8080"]\n  second:\n    image: web\n`

const options = (): PassOptions => ({
  services: [],
  now: true,
  stopping: new AbortController().signal,
  hint: new EventTarget(),
  progress: silent,
  busy: () => {},
})

/** The real engine, which is away for some of the starts. */
function oftenAway(parts: Parts): { parts: Parts; away: { starts: number } } {
  const away = { starts: 0 }
  const start: Engine['start'] = async (...words) => {
    if (away.starts === 0) return parts.engine.start(...words)
    away.starts -= 1
    throw new SamovarError('engine-unreachable', 'the Docker Engine did not answer while starting web')
  }
  // The engine is connected at its first call and has no methods of its own before.
  const engine = new Proxy(parts.engine, {
    get: (real, name) => (name === 'start' ? start : real[name as keyof Engine]),
  })
  return { away, parts: { ...parts, engine } }
}

const versions = (host: TestHost, web: string, second: string) =>
  host.commit({
    'desired-state/services/web.yaml': webService(host.rig, { version: web }),
    'desired-state/services/second.yaml': webService(host.rig, { version: second }),
  })

const history = async (host: TestHost, count: number) =>
  (await host.parts()).journal
    .history(count)
    .map((each) => `${each.service} ${each.kind} ${each.to?.tag} ${each.result}`)
const running = async (host: TestHost) =>
  (await (await host.parts()).engine.observe(host.project))
    .filter((each) => each.state === 'running')
    .map((each) => `${each.service} ${each.image.tag}`)
    .sort()

test('an engine that is away during recovery: nothing new begins, and the next pass finishes what is open', async () => {
  await using host = await startHost('away', compose)
  await versions(host, '1.0.0', '1.0.0')
  await host.pass()
  const { away, parts } = oftenAway(await host.parts())
  away.starts = 2
  await versions(host, '1.1.0', '1.0.0')
  await pass(parts, newMemory(), options())
  await versions(host, '1.1.0', '1.1.0')
  const [open] = parts.journal.unfinished()
  await expect(pass(parts, newMemory(), options())).rejects.toMatchObject({
    code: 'engine-unreachable',
    message: `the roll-out of web (${open?.id}) could not be finished yet`,
  })
  expect(await history(host, 1)).toEqual(['web replace 1.1.0 running'])
  expect(await running(host)).toEqual(['second 1.0.0'])
  await pass(parts, newMemory(), options())
  expect(await history(host, 2)).toEqual(['second replace 1.1.0 applied', 'web replace 1.1.0 applied'])
  expect(await running(host)).toEqual(['second 1.1.0', 'web 1.1.0'])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.1.0' } })
})

test('a rollback finishes first what was cut short, and does nothing as long as that cannot be finished', async () => {
  await using host = await startHost('rollback', compose)
  for (const version of ['1.0.0', '1.1.0']) {
    await versions(host, version, '1.0.0')
    await host.pass()
  }
  const { away, parts } = oftenAway(await host.parts())
  away.starts = 2
  await versions(host, '1.2.0', '1.0.0')
  await pass(parts, newMemory(), options())
  await expect(rollBack(parts, options(), 'web')).rejects.toMatchObject({ code: 'engine-unreachable' })
  expect(await history(host, 1)).toEqual(['web replace 1.2.0 running'])
  expect(parts.journal.quarantined()).toEqual([])
  expect(await rollBack(parts, options(), 'web')).toMatchObject({ kind: 'rollback', result: 'applied' })
  expect(await history(host, 2)).toEqual(['web rollback 1.1.0 applied', 'web replace 1.2.0 applied'])
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.1.0' } })
})

test('a follower with data gets no new version without a backup, not even when the owner of its network is gone', async () => {
  const follower = `  second:\n    image: web\n    network_mode: service:web\n    entrypoint: []\n    command: ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]\n    stop_grace_period: 1s\n    healthcheck: { disable: true }\n    volumes: ["data:/data"]\nvolumes: { data: {} }\n`
  await using host = await startHost('follower', (port) => compose(port).replace(/ {2}second:[^]*/, follower))
  await versions(host, '1.0.0', '1.0.0')
  await host.pass()
  expect(await running(host)).toEqual(['second 1.0.0', 'web 1.0.0'])
  await host.commit({
    'desired-state/services/web.yaml': webService(host.rig, { version: '1.1.0' }),
    'desired-state/services/second.yaml': webService(host.rig, {
      version: '1.1.0',
      extra: 'data: [{ volume: data }]\n',
    }),
  })
  const held = await host.pass()
  expect(held.operations).toEqual([])
  expect(held.plan?.changes[0]?.held).toContain('second is swapped with it and is held: ')
  expect(await host.get('/version')).toMatchObject({ body: { version: '1.0.0' } })
  const all = await (await host.parts()).engine.observe(host.project)
  const web = host.rig.docker.getContainer(String(all.find((each) => each.service === 'web')?.instance))
  await web.remove({ force: true })
  const gone = await host.pass({ now: true })
  expect(gone.operations.map((each) => [each.service, each.result])).toEqual([['web', 'untouched']])
  expect(gone.operations[0]?.reason).toContain('data')
  expect(await running(host)).toEqual(['second 1.0.0'])
})
