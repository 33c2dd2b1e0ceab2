import { afterEach, describe, expect, test } from 'vitest'
import type { ContainerBody } from '../../reconciler/engine/container-body.ts'
import {
  type Engine,
  type EngineEvent,
  type ImageReference,
  samovarLabels,
} from '../../reconciler/engine/engine.ts'
import { until } from '../rig/until.ts'

/** What a host under test offers the suite. */
export type EngineUnderTest = {
  engine: Engine
  project: string
  good: ImageReference
  better: ImageReference
  /** A digest its registry does not have. */
  missing: ImageReference
  /** A container of the project whose name is known, made by somebody else. */
  stopByHand(instance: string): Promise<void>
  removeByHand(instance: string): Promise<void>
  cleanUp(): Promise<void>
}

let operations = 0
/** In the form of the journal's operation ids, unique in this process. */
const operationId = (): string =>
  `20260101-000000-${(process.pid * 100 + operations++).toString(16).padStart(4, '0').slice(-4)}`

/** The promises of reconciler/engine/engine.ts; every engine passes them. */
export function engineContract(name: string, open: () => Promise<EngineUnderTest>): void {
  describe(`engine contract: ${name}`, () => {
    let under: EngineUnderTest
    const opened = async () => {
      under = await open()
      return under
    }
    afterEach(async () => {
      await under.cleanUp()
    })

    const bodyOf = (image: ImageReference, extra: Partial<ContainerBody> = {}): ContainerBody => ({
      Image: `${image.name}:${image.tag}@${image.digest}`,
      StopTimeout: 1,
      Labels: {
        'com.docker.compose.project': under.project,
        'com.docker.compose.service': 'web',
        'com.docker.compose.oneoff': 'False',
        [samovarLabels.image]: `${image.name}:${image.tag}@${image.digest}`,
        [samovarLabels.configuration]: 'abc',
      },
      HostConfig: { RestartPolicy: { Name: 'unless-stopped' } },
      ...extra,
    })
    const containerName = () => `${under.project}-web-1`
    /** A service that runs the good image, as a first roll-out leaves it. */
    const runningWeb = async () => {
      const operation = operationId()
      await under.engine.holdImage(under.good)
      const candidate = await under.engine.create(operation, bodyOf(under.good), { name: containerName() })
      await under.engine.start(operation, candidate)
      return one()
    }
    const one = async () => {
      const web = (await under.engine.observe(under.project)).find((each) => each.name === containerName())
      if (web === undefined) throw new Error('there is no web container')
      return web
    }

    test('a pulled image is local by its digest, and pulling it again is no work', async () => {
      const { engine, good } = await opened()
      const first = await engine.holdImage(good)
      expect(first.digests).toContain(good.digest)
      expect((await engine.holdImage(good)).id).toBe(first.id)
      expect((await engine.images()).map((image) => image.id)).toContain(first.id)
    })

    test('the digest of a tag is asked of the registry without a pull', async () => {
      const { engine, good } = await opened()
      expect(await engine.resolve(`${good.name}:${good.tag}`)).toBe(good.digest)
    })

    test('an image the registry does not have is image-unavailable', async () => {
      const { engine, missing } = await opened()
      await expect(engine.holdImage(missing)).rejects.toMatchObject({ code: 'image-unavailable' })
      await expect(engine.resolve(`${missing.name}:${missing.tag}`)).rejects.toMatchObject({
        code: 'image-unavailable',
      })
    })

    test('a new container stands beside the old one, not started and without a restart policy', async () => {
      const { engine, better } = await opened()
      const old = await runningWeb()
      await engine.holdImage(better)
      const operation = operationId()
      const candidate = await engine.create(operation, bodyOf(better), { name: containerName() })
      const seen = await engine.inspect(candidate.instance)
      expect(seen.state).toBe('created')
      expect(seen.configuration.HostConfig.RestartPolicy?.Name).toBe('no')
      expect((await one()).instance).toBe(old.instance)
      expect((await one()).state).toBe('running')
    })

    test('creating again for the same operation answers the one that is there', async () => {
      const { engine, good } = await opened()
      await engine.holdImage(good)
      const operation = operationId()
      const first = await engine.create(operation, bodyOf(good), { name: containerName() })
      expect(await engine.create(operation, bodyOf(good), { name: containerName() })).toEqual(first)
      expect(await engine.find(operation)).toEqual([first])
      expect(await engine.observe(under.project)).toHaveLength(1)
    })

    test('a started container has the name and the restart policy of the service', async () => {
      const { engine, good } = await opened()
      const web = await runningWeb()
      expect(web).toMatchObject({
        name: containerName(),
        service: 'web',
        state: 'running',
        configuration: 'abc',
      })
      expect(web.image).toMatchObject({ name: good.name, tag: good.tag, digest: good.digest })
      const seen = await engine.inspect(web.instance)
      expect(seen.configuration.HostConfig.RestartPolicy?.Name).toBe('unless-stopped')
      expect(seen.startedAt).toBeGreaterThan(0)
    })

    /** A one-off container of the service, started: it serves until it is told to stop. */
    const oneOff = async (operation: string) => {
      const body = bodyOf(under.good)
      body.Labels['com.docker.compose.oneoff'] = 'True'
      await under.engine.holdImage(under.good)
      const candidate = await under.engine.create(
        operation,
        { ...body, HostConfig: {} },
        { name: `${under.project}-web-run` },
      )
      await under.engine.start(operation, candidate)
      return candidate.instance
    }

    test('a one-off container stands beside the service and counts as none of it', async () => {
      const { engine, project } = await opened()
      const web = await runningWeb()
      const instance = await oneOff(operationId())
      const seen = await engine.observe(project)
      expect(seen.find((each) => each.instance === instance)).toMatchObject({
        oneOff: true,
        state: 'running',
      })
      expect(seen.find((each) => each.instance === web.instance)).toMatchObject({ oneOff: false })
    })

    test('the end of a container is waited for, and a wait that is given up leaves it running', async () => {
      const { engine } = await opened()
      const instance = await oneOff(operationId())
      expect(await engine.ended(instance, AbortSignal.timeout(300))).toBeNull()
      expect((await engine.inspect(instance)).state).toBe('running')
      const ended = engine.ended(instance, new AbortController().signal)
      await under.stopByHand(instance)
      const exitCode = await ended
      expect(exitCode).toBe((await engine.inspect(instance)).exitCode)
    })

    test('a container that is removed while its end is waited for is not-found', async () => {
      const { engine } = await opened()
      const instance = await oneOff(operationId())
      await under.removeByHand(instance)
      await expect(engine.ended(instance, new AbortController().signal)).rejects.toMatchObject({
        code: 'not-found',
      })
    })

    test('the one-off containers of an operation are stopped and removed, and nothing else is', async () => {
      const { engine, project } = await opened()
      const web = await runningWeb()
      const [operation, other] = [operationId(), operationId()]
      await oneOff(operation)
      await engine.removeOneOffs(web.operation)
      await engine.removeOneOffs(other)
      expect(await engine.observe(project)).toHaveLength(2)
      await engine.removeOneOffs(operation)
      await engine.removeOneOffs(operation)
      expect((await engine.observe(project)).map((each) => each.instance)).toEqual([web.instance])
    })

    test('a signal goes to the container that was looked at, and to no other', async () => {
      const { engine } = await opened()
      const web = await runningWeb()
      await engine.signal(web, 'SIGHUP')
      await expect(engine.signal({ ...web, name: 'another' }, 'SIGHUP')).rejects.toMatchObject({
        code: 'changed',
      })
      await under.stopByHand(web.instance)
      await expect(engine.signal(web, 'SIGHUP')).rejects.toMatchObject({ code: 'engine-refused' })
    })

    test('a container that was set aside is stopped, renamed, and will not be restarted', async () => {
      const { engine } = await opened()
      const web = await runningWeb()
      const kept = await engine.describe(operationId(), web, 'web')
      await engine.setAside(kept)
      await engine.setAside(kept)
      const seen = await engine.inspect(web.instance)
      expect(seen.state).toBe('exited')
      expect(seen.name).not.toBe(containerName())
      expect(seen.configuration.HostConfig.RestartPolicy?.Name).toBe('no')
    })

    test('what was kept survives JSON and is brought back as it was, however often it is asked for', async () => {
      const { engine } = await opened()
      const web = await runningWeb()
      const described = await engine.describe(operationId(), web, 'web')
      const kept = JSON.parse(JSON.stringify(described)) as typeof described
      await engine.setAside(kept)
      await engine.bringBack(kept)
      await engine.bringBack(kept)
      const seen = await engine.inspect(web.instance)
      expect(seen).toMatchObject({ state: 'running', name: containerName() })
      expect(seen.configuration.HostConfig.RestartPolicy?.Name).toBe('unless-stopped')
    })

    test('what stood stopped before is brought back stopped', async () => {
      const { engine } = await opened()
      const web = await runningWeb()
      await under.stopByHand(web.instance)
      const kept = await engine.describe(operationId(), await one(), 'web')
      await engine.setAside(kept)
      await engine.bringBack(kept)
      expect((await one()).state).toBe('exited')
    })

    test('a whole swap leaves the new container running and the old one aside, and back again', async () => {
      const { engine, better } = await opened()
      const old = await runningWeb()
      const operation = operationId()
      await engine.holdImage(better)
      const candidate = await engine.create(operation, bodyOf(better), { name: containerName() })
      const kept = await engine.describe(operation, old, 'web')
      await engine.setAside(kept)
      await engine.start(operation, candidate)
      await engine.start(operation, candidate)
      expect((await one()).image.digest).toBe(better.digest)
      await engine.removeCandidate(candidate)
      await engine.removeCandidate(candidate)
      await engine.bringBack(kept)
      expect(await one()).toMatchObject({ instance: old.instance, state: 'running' })
      expect(await engine.observe(under.project)).toHaveLength(1)
    })

    test('a discarded container is gone, and discarding again is no work', async () => {
      const { engine } = await opened()
      const kept = await engine.describe(operationId(), await runningWeb(), 'web')
      await engine.setAside(kept)
      await engine.discard(kept)
      await engine.discard(kept)
      expect(await engine.observe(under.project)).toHaveLength(0)
      await expect(engine.bringBack(kept)).rejects.toMatchObject({ code: 'not-found' })
    })

    test('an instance that left is removed, and removing it again is no work', async () => {
      const { engine } = await opened()
      const web = await runningWeb()
      await engine.remove(web)
      await engine.remove(web)
      expect(await engine.observe(under.project)).toEqual([])
    })

    test('an instance that somebody replaced meanwhile is refused as changed', async () => {
      const { engine } = await opened()
      const web = await runningWeb()
      await under.removeByHand(web.instance)
      await expect(engine.describe(operationId(), web, 'web')).rejects.toMatchObject({ code: 'changed' })
      await expect(engine.stop(web)).rejects.toMatchObject({ code: 'changed' })
      await expect(engine.inspect(web.instance)).rejects.toMatchObject({ code: 'not-found' })
    })

    test('a dependent that was stopped for a while keeps its name and restart policy', async () => {
      const { engine } = await opened()
      const web = await runningWeb()
      await engine.stop(web)
      await engine.stop(web)
      expect((await one()).state).toBe('exited')
      await engine.startAgain(web)
      await engine.startAgain(web)
      const seen = await engine.inspect(web.instance)
      expect(seen.state).toBe('running')
      expect(seen.configuration.HostConfig.RestartPolicy?.Name).toBe('unless-stopped')
    })

    test('what happens to a container by hand is told within seconds', async () => {
      const { engine, project } = await opened()
      const web = await runningWeb()
      const events: EngineEvent[] = []
      const end = new AbortController()
      let connected = 0
      const watching = engine.watch(
        project,
        (event) => void events.push(event),
        () => connected++,
        end.signal,
      )
      await until('the watch is connected', async () => connected > 0, { withinMs: 10_000 })
      await under.stopByHand(web.instance)
      await until('the death is told', async () => events.find((event) => event.action === 'die'), {
        withinMs: 10_000,
      })
      expect(events.find((event) => event.action === 'die')).toMatchObject({
        instance: web.instance,
        service: 'web',
      })
      end.abort()
      await watching
    })

    test('an image in use is not dropped, an unused one is', async () => {
      const { engine, good, better } = await opened()
      const web = await runningWeb()
      expect(await engine.dropImage({ ...good, id: web.image.id })).toBe(false)
      const unused = await engine.holdImage(better)
      expect(await engine.dropImage({ ...better, id: unused.id })).toBe(true)
      const left = (await engine.images()).flatMap((image) => image.digests)
      expect(left).not.toContain(better.digest)
      expect((await engine.holdImage(good)).id).toBe(web.image.id)
    })

    test('only the project is seen', async () => {
      const { engine } = await opened()
      await runningWeb()
      expect(await engine.observe(`${under.project}-other`)).toEqual([])
    })
  })
}
