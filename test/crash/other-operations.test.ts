import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hostYaml } from '../end-to-end/test-host.ts'
import { baseLayer } from '../rig/images.ts'
import { layerOf, pushImage } from '../rig/push-image.ts'
import { until } from '../rig/until.ts'
import { type Case, crashCases, patience } from './cases.ts'
import type { Ran } from './child.ts'
import { atPoints, atRequests, type CrashHost, startCrashHost } from './crash-host.ts'
import { brokenPromises, servingContainer } from './promises.ts'

let host: CrashHost

/** `web` alone, or with a service `old` beside it. */
const composeFile = (
  port: number,
  withOld = false,
) => `x-common: &common { restart: unless-stopped, stop_grace_period: 2s }
services:
  web: { <<: *common, image: web, ports: ["127.0.0.1:${port}:8080"] }
${withOld ? '  old: { <<: *common, image: tools }\n' : ''}`

beforeAll(async () => {
  host = await startCrashHost('crash-others', (port) => composeFile(port))
  await host.want('1.0.0')
  await host.run()
})
afterAll(() => host[Symbol.asyncDispose]())

/** Every point and every request of a run that is made ready anew each time. */
async function everywhere(prepare: Case['prepare']): Promise<{ usual: Ran; cases: Case[] }> {
  const expected = await prepare()
  const usual = await host.run({ passes: 2 })
  expect(await brokenPromises(host, expected, usual.reports)).toEqual([])
  const kills = [...atPoints(usual), ...atRequests(usual)]
  return { usual, cases: kills.map((kill) => ({ kills: [kill], usual, prepare })) }
}

test(
  'a stopped service is started once more when the start was killed at any point',
  async () => {
    const container = await servingContainer(host)
    const { usual, cases } = await everywhere(async () => {
      await host.rig.docker.getContainer(container).stop({ t: 1 })
      return { version: '1.0.0', container }
    })
    expect(usual.points).toContain('start: start begun')
    await crashCases(host, 'start of a stopped service', cases)
  },
  patience,
)

test(
  'a service that left is stopped and kept, its removal killed at any point',
  async () => {
    const { usual, cases } = await everywhere(() => leaves({ prune: false }))
    expect(usual.requests).toContain('POST /containers/stop')
    await crashCases(host, 'leaving, kept', cases)
  },
  patience,
)

test(
  'a service that left is removed with prune, its removal killed at any point',
  async () => {
    const { usual, cases } = await everywhere(() => leaves({ prune: true }))
    expect(usual.requests).toContain('DELETE /containers')
    await crashCases(host, 'leaving, removed', cases)
  },
  patience,
)

test(
  'a pull that was killed in the middle is made again',
  async () => {
    let number = 0
    const prepare = async () => {
      number += 1
      const version = `1.7.${number}`
      await pushLarge(host.rig.registry, version)
      await host.want(version)
      return { version, result: 'applied' }
    }
    await prepare()
    const usual = await host.run()
    await crashCases(host, 'pull', [
      { kills: [{ at: 'pull' }], usual, prepare },
      { kills: [{ at: 'pull' }, { at: 'pull' }], usual, prepare },
    ])
  },
  patience,
)

async function leaves({ prune }: { prune: boolean }) {
  const file = 'desired-state/services/old.yaml'
  const tools = `image: ${host.rig.registry}/tools\ntag: 1.0.0\nhealth: { within: 10s, steady: 0s, soak: 0s }\n`
  await host.commit({
    [file]: tools,
    'compose/compose.yaml': composeFile(host.port, true),
    'desired-state/host.yaml': hostYaml(host.project, `prune: ${prune}\n`),
  })
  await host.run()
  await until(
    'the service runs',
    async () => (await containersOfOld()).some((each) => each.State === 'running'),
    {
      withinMs: 5_000,
    },
  )
  await host.commit({ [file]: null, 'compose/compose.yaml': composeFile(host.port) })
  return { version: '1.0.0', gone: { service: 'old', kept: !prune } }
}

const containersOfOld = () =>
  host.rig.docker.listContainers({
    all: true,
    filters: { label: [`com.docker.compose.project=${host.project}`, 'com.docker.compose.service=old'] },
  })

/** As the other versions of `web`, but with some megabytes that nobody has yet. */
async function pushLarge(registry: string, version: string): Promise<void> {
  const files = layerOf([
    { path: 'etc/web-version', content: version },
    { path: 'etc/web-behaviour', content: 'good' },
    { path: 'www/version', content: `{"version":"${version}"}\n` },
    { path: 'www/healthz', content: '{"status":"pass"}\n' },
    { path: 'www/large', content: randomBytes(12 * 1024 ** 2).toString('hex') },
  ])
  await pushImage(registry, { name: 'web', tag: version }, [await baseLayer(() => {}), files], {
    Env: ['PATH=/bin'],
    Cmd: ['/bin/web'],
  })
}
