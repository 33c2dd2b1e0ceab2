import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hostYaml } from '../end-to-end/test-host.ts'
import { type CrashHost, startCrashHost } from './crash-host.ts'
import { brokenPromises } from './promises.ts'

const compose = (port: number): string => `services:
  web:
    image: web
    restart: unless-stopped
    stop_grace_period: 2s
    ports: ["127.0.0.1:${port}:8080"]
    secrets: [TOKEN]
secrets: { TOKEN: { environment: TOKEN } }
`

/** A reboot empties the tmpfs, and what was cut short is finished before anything else is looked at. */
async function cutAt(host: CrashHost, point: string, points: string[]): Promise<void> {
  const { killed } = await host.run({ kill: { at: 'point', number: points.indexOf(point) + 1 } })
  expect(killed).toBe(true)
  await rm(join(host.stateDir, 'secrets'), { recursive: true })
}

test('a roll-out that a reboot cut short finds its secrets again, forwards and backwards', async () => {
  await using host = await startCrashHost('crash-tmpfs', compose)
  const token = join(host.stateDir, 'token-of-the-operator')
  await writeFile(token, 'sesame')
  await host.commit({
    'desired-state/host.yaml': hostYaml(host.project, `variables: { TOKEN: { secret: "file:${token}" } }\n`),
  })
  await host.want('1.0.0')
  await host.run()
  await host.want('1.1.0', { soak: '0s' })
  const good = await host.run({ passes: 2 })
  let version = '1.1.0'
  for (const point of ['replace: create done', 'replace: set aside done', 'replace: start begun']) {
    version = version === '1.0.0' ? '1.1.0' : '1.0.0'
    await host.want(version, { soak: '0s' })
    await cutAt(host, point, good.points)
    const { reports } = await host.run({ passes: 2 })
    expect(await brokenPromises(host, { version, result: 'applied' }, reports), point).toEqual([])
  }

  await host.want('2.0.0', { within: '1s' })
  const bad = await host.run({ passes: 2 })
  const back = bad.points.filter((point) => /^replace: (stop|remove|bring back)/.test(point))
  expect(back).toContain('replace: bring back begun')
  await host.want('2.1.0', { within: '1s' })
  await cutAt(host, 'replace: bring back begun', bad.points)
  const { reports } = await host.run({ passes: 2 })
  expect(await brokenPromises(host, { version, result: 'reverted', quarantined: true }, reports)).toEqual([])
})
