import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type Docker from 'dockerode'
import type { TestHost } from '../end-to-end/test-host.ts'
import { until } from '../rig/until.ts'
import type { Report } from './child.ts'
import type { CrashHost, Killer } from './crash-host.ts'

export type Expected = {
  /** What the user is served in the end. */
  version: string
  /** Services that run, each in exactly one container. */
  services?: string[]
  /** The very container that must serve, where it is the old one that comes back. */
  container?: string | undefined
  /** How the newest operation of `web` ended. */
  result?: string
  /** A service that left the desired state: stopped and kept, or removed. */
  gone?: { service: string; kept: boolean }
  /** The failing image is not tried again. */
  quarantined?: boolean
}

/**
 * The promises of a host after any crash and the passes that followed it, each broken one as a sentence. It looks at
 * the engine, the user's door and the journal, not at what Samovar says of itself.
 */
export async function brokenPromises(
  host: CrashHost,
  expected: Expected,
  reports: Report[],
): Promise<string[]> {
  const broken = host.pairs()
  const containers = await host.rig.docker.listContainers({
    all: true,
    filters: { label: [`com.docker.compose.project=${host.project}`] },
  })
  const services = expected.services ?? ['web']
  for (const service of services) broken.push(...(await oneRuns(host, containers, service)))
  const { gone } = expected
  const parting = containers.filter((each) => serviceOf(each) === gone?.service)
  if (gone !== undefined) broken.push(...hasLeft(host, parting, gone))
  const others = containers.filter((each) => !parting.includes(each))
  broken.push(...(await leftovers(host, others, services)))
  broken.push(...(await served(host, expected)))
  broken.push(...inTheJournal(host, expected), ...inTheReports(reports, expected))
  const web = containers.find((each) => each.State === 'running' && serviceOf(each) === 'web')
  if (existsSync(join(host.stateDir, 'hold', 'flag.json'))) broken.push('requests are still held')
  if (expected.container !== undefined && web?.Id !== expected.container)
    broken.push(`another container than before serves: ${web?.Id.slice(0, 12)}`)
  return broken
}

const serviceOf = (container: Docker.ContainerInfo) => container.Labels['com.docker.compose.service'] ?? ''
const nameOf = (container: Docker.ContainerInfo) => (container.Names[0] ?? '').replace('/', '')

/** One container of the service runs, under its own name and as the Compose file restarts it. */
export async function oneRuns(
  host: TestHost & Killer,
  containers: Docker.ContainerInfo[],
  service: string,
): Promise<string[]> {
  const running = containers.filter((each) => serviceOf(each) === service && each.State === 'running')
  const [one] = running
  if (one === undefined || running.length > 1)
    return [`${service}: ${running.length} containers run: ${running.map(nameOf).join(', ')}`]
  const seen = await host.rig.docker.getContainer(one.Id).inspect()
  const broken: string[] = []
  if (nameOf(one) !== `${host.project}-${service}-1`)
    broken.push(`${service} runs under the name ${nameOf(one)}`)
  const policy = seen.HostConfig.RestartPolicy?.Name
  if (policy !== 'unless-stopped') broken.push(`${service} runs with restart policy ${policy}`)
  return broken
}

function hasLeft(
  host: CrashHost,
  containers: Docker.ContainerInfo[],
  gone: { service: string; kept: boolean },
): string[] {
  const states = containers.map((each) => `${nameOf(each)} is ${each.State}`)
  const expected = gone.kept ? [`${host.project}-${gone.service}-1 is exited`] : []
  if (states.join() !== expected.join())
    return [`${gone.service} left, but: ${states.join(', ') || 'it is gone'}`]
  const [last] = host.journal.history(1, gone.service)
  return last?.kind === 'remove' && last.result === 'applied'
    ? []
    : [`the journal says ${last?.kind}: ${last?.result}`]
}

/** Beside what runs there is only what the journal keeps for the soak: stopped and not to be restarted. */
export async function leftovers(
  host: TestHost & Killer,
  containers: Docker.ContainerInfo[],
  services: string[],
): Promise<string[]> {
  const kept = new Set(host.journal.kept().map((row) => row.kept.instance))
  const broken: string[] = []
  for (const each of containers) {
    if (each.State === 'running' && services.includes(serviceOf(each))) continue
    if (!kept.has(each.Id)) broken.push(`${nameOf(each)} (${each.State}) was left over`)
    else if (each.State !== 'exited') broken.push(`${nameOf(each)} was set aside, but is ${each.State}`)
    else {
      const { HostConfig } = await host.rig.docker.getContainer(each.Id).inspect()
      const policy = HostConfig.RestartPolicy?.Name
      if (policy !== 'no') broken.push(`${nameOf(each)} was set aside with restart policy ${policy}`)
    }
  }
  for (const id of kept)
    if (!containers.some((each) => each.Id === id)) broken.push(`${id} is kept, but gone`)
  return broken
}

async function served(host: CrashHost, expected: Expected): Promise<string[]> {
  try {
    await until(
      `the user gets version ${expected.version}`,
      async () => {
        const answer = await host.get('/version')
        const version = (answer?.body as { version?: string } | null)?.version
        if (version !== expected.version) throw new Error(version ?? `no answer`)
        return true
      },
      { withinMs: 3_000 },
    )
    return []
  } catch (error) {
    return [String(error)]
  }
}

function inTheJournal(host: CrashHost, expected: Expected): string[] {
  const broken = host.journal.unfinished().map((each) => `operation ${each.id} (${each.kind}) has no end`)
  const [last] = host.journal.history(1, 'web')
  if (expected.result !== undefined && last?.result !== expected.result)
    broken.push(`the journal says ${last?.result} (${last?.reason}), expected ${expected.result}`)
  const isQuarantined = host.journal.quarantined().some((each) => each.operation === last?.id)
  if (expected.quarantined === true && !isQuarantined) broken.push('the failing image is not quarantined')
  if (expected.quarantined !== true && host.journal.quarantined().length > 0)
    broken.push('a good image is quarantined')
  return broken
}

/** The last pass had nothing left to do. */
export function inTheReports(reports: Report[], expected: Pick<Expected, 'quarantined'>): string[] {
  const last = reports.at(-1)
  if (last === undefined) return ['the pass after the crash did not come to its end']
  const done = last.operations.map(
    (each) => `the next pass still had to ${each.kind} ${each.service}: ${each.result}`,
  )
  const open = last.plan
    .filter((change) => change.action !== 'none')
    .filter((change) => !(expected.quarantined === true && change.held?.startsWith('quarantined') === true))
    .map((change) => `left to do: ${change.action} ${change.service} (${change.held ?? 'not held'})`)
  const others = reports
    .flatMap((report) => report.operations)
    .filter((each) => each.result === 'stuck')
    .map((each) => `${each.service} was stuck: ${each.reason}`)
  return [...done, ...open, ...others]
}

/** The container that serves `web` now. */
export async function servingContainer(host: CrashHost): Promise<string> {
  const [one] = await host.rig.docker.listContainers({
    filters: {
      label: [`com.docker.compose.project=${host.project}`, 'com.docker.compose.service=web'],
    },
  })
  if (one === undefined) throw new Error('nothing serves')
  return one.Id
}
