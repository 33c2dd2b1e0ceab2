import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { samovarLabels } from '../../reconciler/engine/engine.ts'
import { isAlive, mustRun, ownerOf, run } from './process.ts'
import type { RigAddress } from './rig.ts'
import { tempFolder, tempPrefix } from './temp-folder.ts'
import { until } from './until.ts'
import { useRig } from './use-rig.ts'

type Live<T> = {
  address: T
  process: ChildProcessByStdio<Writable, Readable, null>
  leave(): Promise<void>
  kill(): Promise<void>
}

const rig = useRig()
const script = join(import.meta.dirname, 'live-part.ts')

const started: ChildProcessByStdio<Writable, Readable, null>[] = []

/** A failed test leaves none of them behind; what they made is removed as that of any killed run. */
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})

async function live<T>(command: string[], environment: NodeJS.ProcessEnv): Promise<Live<T>> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { env: environment, stdio: ['pipe', 'pipe', 'inherit'] })
  started.push(child)
  const [line] = await once(createInterface(child.stdout), 'line')
  const gone = async () => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  return {
    address: JSON.parse(String(line)) as T,
    process: child,
    leave: async () => {
      child.stdin.end()
      await gone()
    },
    kill: async () => {
      child.kill('SIGKILL')
      await gone()
    },
  }
}

const secondRig = () =>
  live<RigAddress>([process.execPath, script, 'rig'], {
    ...process.env,
    SAMOVAR_TEST_RUN: undefined,
    // The engine that the machine has, found or private, as this run found it: not this run's own setting.
    DOCKER_HOST: rig.dockerHost.includes('samovar-rig') ? undefined : rig.dockerHost,
  })

test('two runs side by side share the engine and disturb nothing of each other', async () => {
  const container = await rig.docker.createContainer({
    Image: (await pulled(rig.image('tools', '1.0.0'))).Id,
    Labels: { 'samovar.test': rig.run },
  })
  await container.start()
  const other = await secondRig()
  expect(other.address.dockerHost).toBe(rig.dockerHost)
  expect(other.address.registry).not.toBe(rig.registry)
  expect((await fetch(`http://${other.address.registry}/v2/web/tags/list`)).ok).toBe(true)
  await other.leave()
  await expect(fetch(`http://${other.address.registry}/v2/`)).rejects.toThrow()
  expect((await container.inspect()).State.Running).toBe(true)
  expect((await fetch(`http://${rig.registry}/v2/web/tags/list`)).ok).toBe(true)
  await container.remove({ force: true })
})

test('what a killed run left is removed by the next run of the same checkout, and nothing else', async () => {
  const killed = await secondRig()
  const { run: killedRun, registry } = killed.address
  const image = await pulled(`${registry}/tools:1.0.0`)
  const labels = { 'com.docker.compose.project': `${killedRun}-host-1` }
  const container = await rig.docker.createContainer({ Image: image.Id, Labels: labels })
  await container.start()
  const network = await rig.docker.createNetwork({ Name: `${killedRun}-host-1_default`, Labels: labels })
  const volume = await rig.docker.createVolume({ Name: `${killedRun}-host-1_data`, Labels: labels })
  const scratch = await rig.docker.createContainer({
    Image: image.Id,
    Labels: { [samovarLabels.scratch]: 'of a killed process' },
    HostConfig: { Mounts: [{ Type: 'volume', Source: volume.name, Target: '/samovar' }] },
  })
  const strange = await rig.docker.createVolume({ Labels: { 'samovar.test': `${killedRun}0` } })
  const folder = join(tmpdir(), `${tempPrefix}${killedRun}-left`)
  await mkdir(folder)
  await killed.kill()
  expect((await fetch(`http://${registry}/v2/`)).ok).toBe(true)

  const next = await secondRig()
  await expect(container.inspect()).rejects.toMatchObject({ statusCode: 404 })
  await expect(scratch.inspect()).rejects.toMatchObject({ statusCode: 404 })
  await expect(rig.docker.getNetwork(network.id).inspect()).rejects.toMatchObject({ statusCode: 404 })
  await expect(rig.docker.getVolume(volume.name).inspect()).rejects.toMatchObject({ statusCode: 404 })
  const names = (await rig.docker.listImages()).flatMap((one) => [
    ...(one.RepoTags ?? []),
    ...(one.RepoDigests ?? []),
  ])
  expect(names.filter((name) => name.startsWith(`${registry}/`))).toEqual([])
  expect(existsSync(folder)).toBe(false)
  await expect(fetch(`http://${registry}/v2/`)).rejects.toThrow()
  await rig.docker.getVolume(strange.name).inspect()
  await rig.docker.getVolume(strange.name).remove()
  await next.leave()
})

async function pulled(name: string) {
  await mustRun('docker', ['pull', '-q', name], { env: { ...process.env, ...rig.environment } })
  return rig.docker.getImage(name).inspect()
}

const canStartOne = process.getuid?.() === 0 && existsSync('/usr/sbin/dockerd')

// Each in a network namespace of its own: a daemon that starts empties the iptables chains of the others.
test.skipIf(!canStartOne)(
  'a private engine starts over the leftovers of a killed one, serves several runs, and goes with the last (needs root and dockerd)',
  async () => {
    await using folder = await tempFolder('engine')
    const namespace = `${rig.run}-engine`
    await mustRun('ip', ['netns', 'add', namespace])
    const joinEngine = () =>
      live<{ dockerHost: string }>(
        ['nsenter', `--net=/run/netns/${namespace}`, process.execPath, script, 'engine', folder.path],
        { ...process.env, SAMOVAR_TEST_ENGINE: 'private' },
      )
    const daemonOf = async (host: string) => {
      const socket = host.slice('unix://'.length)
      return ownerOf(Number(await readFile(join(socket, '../dockerd.pid'), 'utf8')))
    }
    try {
      const killed = await joinEngine()
      const first = await daemonOf(killed.address.dockerHost)
      await killed.kill()
      process.kill(first.pid, 'SIGKILL')
      await until('the killed daemon is gone', () => !isAlive(first), { withinMs: 5_000 })
      // The number of the killed daemon belongs to somebody else by now, who must not be taken for it.
      const pidFile = join(killed.address.dockerHost.slice('unix://'.length), '../dockerd.pid')
      await writeFile(pidFile, String(process.pid))

      const [second, third] = await Promise.all([joinEngine(), joinEngine()])
      const daemon = await daemonOf(second.address.dockerHost)
      expect(await daemonOf(third.address.dockerHost)).toEqual(daemon)
      await second.leave()
      expect(isAlive(daemon)).toBe(true)
      await third.leave()
      expect(isAlive(daemon)).toBe(false)
      expect(existsSync(pidFile)).toBe(false)
      const bridges = await run('nsenter', [
        `--net=/run/netns/${namespace}`,
        'ip',
        'link',
        'show',
        'type',
        'bridge',
      ])
      expect(bridges.stdout).toBe('')
    } finally {
      await mustRun('ip', ['netns', 'delete', namespace])
    }
  },
)
