import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectDocker } from '../../reconciler/engine/docker.ts'
import { type Engine, type ScratchBody, samovarLabels } from '../../reconciler/engine/engine.ts'
import { pushWeb } from '../rig/images.ts'
import { until } from '../rig/until.ts'
import { type RigInUse, useRig } from '../rig/use-rig.ts'
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts'
import { archiveOf, type DataHost, engineDataContract } from './engine-data.ts'

let web: { reference: string; id: string } | undefined

async function open(rig: RigInUse): Promise<DataHost> {
  const engine = await connectDocker(rig.dockerHost)
  if (web === undefined) {
    const name = `${rig.registry}/data-contract`
    const digest = await pushWeb(rig.registry, '1.0.0', 'good', { name: 'data-contract' })
    const { id } = await engine.holdImage({ name, tag: '1.0.0', digest })
    web = { reference: `${name}:1.0.0@${digest}`, id }
  }
  const project = rig.project('data')
  return {
    engine,
    project,
    image: web,
    async answers(instance) {
      const address = Object.values((await engine.inspect(instance)).addresses)[0]
      const url = `http://${address}:8080/healthz`
      return fetch(url, { signal: AbortSignal.timeout(700) }).then(
        (answer) => answer.ok,
        () => false,
      )
    },
    stopByHand: async (instance) => void (await rig.docker.getContainer(instance).stop({ t: 1 })),
    removeByHand: async (instance) => void (await rig.docker.getContainer(instance).remove({ force: true })),
    async cleanUp() {
      for (const each of await engine.observe(project))
        await rig.docker.getContainer(each.instance).remove({ force: true })
      await rig.docker.getVolume(`${project}_data`).remove({ force: true })
      await engine.close()
    },
  }
}

engineDataContract('Docker', () => open(useRig()))

describe('what only a Docker Engine does', () => {
  const rig = useRig()
  const operation = `20260101-000001-${(process.pid % 65536).toString(16).padStart(4, '0')}`
  let engine: Engine
  let proxy: CuttingProxy
  let throughProxy: Engine
  let image: string
  let tools: string

  beforeAll(async () => {
    engine = await connectDocker(rig.dockerHost)
    proxy = await startCuttingProxy(rig.dockerHost)
    throughProxy = await connectDocker(proxy.dockerHost)
    tools = await local('tools', '1.0.0')
    image = await local('store', '1.0.0')
  })
  afterAll(async () => {
    await engine.removeScratch(operation)
    await proxy[Symbol.asyncDispose]()
  })

  const local = async (name: string, tag: string): Promise<string> => {
    const digest = await engine.resolve(rig.image(name, tag))
    return (await engine.holdImage({ name: `${rig.registry}/${name}`, tag, digest })).id
  }
  const scratch = (wanted: Partial<ScratchBody> = {}) =>
    engine.scratch(operation, { image: tools, volumes: {}, command: null, environment: {}, ...wanted })
  const started = async (wanted: Partial<ScratchBody> = {}) => {
    const instance = await scratch(wanted)
    await engine.startScratch(instance)
    return instance
  }
  const said = async (instance: string, command: string[]) => {
    const { output } = await engine.exec(instance, command)
    return text(output)
  }
  const runs = async (instance: string, program: string) => {
    const { Processes } = (await rig.docker.getContainer(instance).top()) as { Processes: string[][] }
    return Processes.some((line) => line.join(' ').includes(program))
  }

  test('a program whose container is killed has not succeeded, though its output ends like any other', async () => {
    const instance = await started()
    const { output, ended } = await engine.exec(instance, ['sh', '-c', 'echo begun; sleep 100'])
    const all = text(output)
    await until('it runs', () => runs(instance, 'sleep 100'), { withinMs: 10_000 })
    await rig.docker.getContainer(instance).kill()
    expect(await all).toBe('begun\n')
    expect((await ended).exitCode).not.toBe(0)
  })

  test('output that is given up ends its program', async () => {
    const instance = await started()
    const { output, ended } = await engine.exec(instance, ['cat', '/dev/zero'])
    await new Promise((resolve) => output.once('data', resolve))
    output.destroy()
    expect((await ended).exitCode).not.toBe(0)
    await until('the program is gone', async () => !(await runs(instance, 'cat /dev/zero')), {
      withinMs: 10_000,
    })
  })

  test('output over a connection that is lost fails, and so does its program', async () => {
    const instance = await started()
    const { output, ended } = await throughProxy.exec(instance, ['sh', '-c', 'sleep 1; cat /dev/zero'])
    proxy.cutAfter(1_000_000)
    const failure = text(output).catch((error: unknown) => error)
    await until('the connection is lost', () => output.destroyed, { withinMs: 20_000 })
    proxy.cutAfter(null)
    expect(await failure).toMatchObject({ code: 'engine-unreachable' })
    await expect(ended).rejects.toMatchObject({ code: 'engine-unreachable' })
    await until('the program is gone', async () => !(await runs(instance, 'cat /dev/zero')), {
      withinMs: 10_000,
    })
  })

  test('a copy of files over a connection that is lost fails', async () => {
    const instance = await started()
    await said(instance, ['sh', '-c', 'mkdir /big; truncate -s 20M /big/file'])
    const copy = await throughProxy.readFiles(instance, '/big')
    proxy.cutAfter(1_000_000)
    await expect(text(copy)).rejects.toMatchObject({ code: 'engine-unreachable' })
    proxy.cutAfter(null)
  })

  test('what the engine says about files it cannot unpack is in the error', async () => {
    const instance = await scratch()
    const folderOverFile = await archiveOf([{ name: './passwd/inner', content: 'x' }])
    await expect(engine.writeFiles(instance, '/etc', Readable.from([folderOverFile]))).rejects.toMatchObject({
      code: 'engine-refused',
      message: expect.stringContaining('passwd'),
    })
  })

  test('nameless volumes of a scratch container go with it', async () => {
    const instance = await scratch({ image })
    const { Mounts } = await rig.docker.getContainer(instance).inspect()
    const nameless = Mounts[0]?.Name ?? ''
    expect(nameless).toMatch(/^[0-9a-f]{64}$/)
    await engine.removeScratch(operation)
    await expect(rig.docker.getVolume(nameless).inspect()).rejects.toMatchObject({ statusCode: 404 })
  })

  test('a volume is not filled with what the image has in its folder', async () => {
    const volume = `${rig.project('nocopy')}_data`
    await rig.docker.createVolume({ Name: volume, Labels: { 'samovar.test': rig.run } })
    const instance = await started({ volumes: { [volume]: '/etc' } })
    expect(await said(instance, ['ls', '/etc'])).not.toContain('passwd')
    await engine.removeScratch(operation)
    await rig.docker.getVolume(volume).remove()
  })

  test('a scratch container has no network, no restart policy and no label of Compose', async () => {
    const instance = await started()
    const { HostConfig, Config, Name } = await rig.docker.getContainer(instance).inspect()
    expect(Name).toMatch(new RegExp(`^/samovar-scratch-${operation}-`))
    expect(HostConfig).toMatchObject({ NetworkMode: 'none', RestartPolicy: { Name: 'no' } })
    expect(Config.Labels[samovarLabels.scratch]).toBe(operation)
    expect(Object.keys(Config.Labels).filter((label) => label.startsWith('com.docker.compose'))).toEqual([])
    expect(await said(instance, ['ls', '/sys/class/net'])).toBe('lo\n')
  })

  test('300 MB through a slow reader do not stay in memory', async () => {
    const instance = await started()
    await said(instance, ['sh', '-c', 'mkdir /big; truncate -s 300M /big/file'])
    const grown = {
      program: await growthWhileReading((await engine.exec(instance, ['cat', '/big/file'])).output),
      files: await growthWhileReading(await engine.readFiles(instance, '/big')),
    }
    const swallow = await engine.exec(instance, ['sh', '-c', 'sleep 1; cat > /dev/null'], zeros())
    const written = growthUntil(swallow.ended)
    expect(await swallow.ended).toMatchObject({ exitCode: 0 })
    const all = { ...grown, input: await written }
    console.error(`300 MB streamed; memory grew by ${JSON.stringify(all)} MB`)
    for (const megabytes of Object.values(all)) expect(megabytes).toBeLessThan(150)
  })
})

/** Reads all of it, resting now and then; answers by how many MB this process was larger at its largest. */
async function growthWhileReading(stream: Readable): Promise<number> {
  const before = process.memoryUsage().rss
  let largest = before
  let bytes = 0
  let rests = 0
  for await (const chunk of stream) {
    bytes += (chunk as Buffer).length
    if (bytes / 3_000_000 > rests) {
      rests += 1
      await pause(20)
      expect(stream.readableLength).toBeLessThan(2_000_000)
      largest = Math.max(largest, process.memoryUsage().rss)
    }
  }
  expect(bytes).toBeGreaterThanOrEqual(300 * 1024 * 1024)
  return Math.round((largest - before) / 1_000_000)
}

/** 300 MB, as fast as anybody takes them. */
const zeros = (): Readable =>
  Readable.from(
    (function* () {
      for (let part = 0; part < 3_000; part += 1) yield Buffer.alloc(100_000)
    })(),
  )

/** By how many MB this process was larger at its largest until a promise has settled. */
async function growthUntil(end: Promise<unknown>): Promise<number> {
  const before = process.memoryUsage().rss
  let largest = before
  const look = setInterval(() => {
    largest = Math.max(largest, process.memoryUsage().rss)
  }, 5)
  await end
  clearInterval(look)
  return Math.round((largest - before) / 1_000_000)
}
