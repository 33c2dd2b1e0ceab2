import { lookup } from 'node:dns/promises'
import { createServer, isIP } from 'node:net'
import { type Port, serviceOf } from '../compose/model.ts'
import { projectVolumes } from '../compose/project-objects.ts'
import { profiles } from '../compose/service-facts.ts'
import { findingLine, type Host } from '../desired-state.ts'
import type { Engine, Running } from '../engine/engine.ts'
import { SamovarError, sentenceOf } from '../errors.ts'
import type { Journal } from '../journal.ts'
import type { Loaded } from '../load.ts'
import { load } from '../look.ts'
import { containerOf } from '../plan/plan.ts'
import type { Settings } from '../settings.ts'
import { hostNote, type UpContext } from './context.ts'
import { missingFiles, missingVariables } from './host-secrets.ts'
import { checkCheckout } from './local-checkout.ts'
import { fine, problem, type UpStep, warning } from './step.ts'

/** Less than the images of the stack take. */
const littleDisk = 5 * 1024 ** 3

/**
 * Looks at everything that has to be there before the stack is started; changes nothing.
 *
 * @returns the desired state, or null when it cannot be read
 */
export async function* examineHost(context: UpContext): AsyncGenerator<UpStep, Loaded | null> {
  const { parts, settings, checkout } = context
  // What Gitea has counts from then on; the folder may be anything.
  if (!context.isSwitched) {
    const found = await checkCheckout(checkout, settings)
    yield found
    if (found.result === 'problem') return null
  }
  yield fine('compose', `Compose ${parts.compose.version}`)
  const running = yield* engine(context)
  if (running === null) return null
  const loaded = yield* desiredState(context)
  if (loaded === null) return null
  yield sameHost(context, loaded)
  const current = await parts.engine.observe(loaded.state.host.project)
  yield await ports(loaded, current)
  yield* names(loaded)
  yield* checkSecrets(context, loaded, current)
  return loaded
}

async function* engine({ parts }: UpContext): AsyncGenerator<UpStep, true | null> {
  try {
    yield fine('engine', (await parts.engine.capabilities()).description)
  } catch (error) {
    const next = error instanceof SamovarError ? error.next : ''
    yield problem('engine', sentenceOf(error), next)
    return null
  }
  const free = await parts.engine.freeDisk().catch(() => null)
  if (free === null) return true
  const said = `${(free / 1024 ** 3).toFixed(1)} GiB are free where the engine keeps images`
  yield free >= littleDisk
    ? fine('disk', said)
    : warning('disk', said, 'The images of the stack take about 3 GiB; `docker system df` shows the rest.')
  return true
}

async function* desiredState(context: UpContext): AsyncGenerator<UpStep, Loaded | null> {
  const { parts, memory } = context
  try {
    const { commit } = await parts.source.fetch()
    const { loaded, findings } = await load(parts, memory, commit)
    if (loaded !== null) {
      const services = Object.keys(loaded.state.services)
      yield fine('desired state', `${loaded.state.host.name}: ${services.join(', ')}`)
      return loaded
    }
    for (const finding of findings)
      yield problem('desired state', findingLine(finding), 'Correct it, commit, and run up again.')
  } catch (error) {
    const next = error instanceof SamovarError ? error.next : 'Correct it and run up again.'
    // A Gitea that is away is what up may be there for: the last commit stays in force.
    const last = context.isSwitched ? parts.source.lastGood() : null
    const known = last === null ? null : (await load(parts, memory, last.commit)).loaded
    yield known === null
      ? problem('desired state', sentenceOf(error), next)
      : warning('desired state', sentenceOf(error), next)
    return known
  }
  return null
}

/** Two hosts in one state directory would take each other's containers for their own. */
function sameHost({ parts: { journal } }: UpContext, { state: { host } }: Loaded): UpStep {
  const known = journal.note(hostNote)
  const project = journal.note('project')
  const other =
    known !== null && known !== host.name
      ? `this host is ${known}, and the desired state is that of ${host.name}`
      : project !== null && project !== host.project
        ? `this host has the project ${project}, and the desired state is for ${host.project}`
        : null
  return other === null
    ? fine('host', `${host.name}, project ${host.project}`)
    : problem('host', other, 'Use the checkout of this host, or another SAMOVAR_STATE_DIR.')
}

async function ports({ model }: Loaded, running: Running[]): Promise<UpStep> {
  const wanted = Object.keys(model.services)
    .filter((service) => profiles(model, service).length === 0)
    // What it holds itself is not in its way.
    .filter((service) => containerOf(service, running)?.state !== 'running')
    .flatMap((service) => (serviceOf(model, service).ports ?? []).map((port) => ({ service, port })))
    .filter(({ port }) => port.published !== undefined && port.protocol !== 'udp')
  const taken: string[] = []
  for (const { service, port } of wanted)
    if (!(await isFree(port))) taken.push(`${port.published} (${service})`)
  if (taken.length === 0)
    return fine(
      'ports',
      wanted.length === 0
        ? 'all are its own'
        : `free: ${wanted.map(({ port }) => port.published).join(', ')}`,
    )
  const first = taken[0]?.split(' ')[0] ?? ''
  return problem(
    'ports',
    `in use by another program: ${taken.join(', ')}`,
    `\`ss -ltnp 'sport = :${first}'\` shows who has it; end that program, or choose another port in host.yaml.`,
  )
}

async function isFree(port: Port): Promise<boolean> {
  const server = createServer()
  const code = await new Promise<string>((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
    server.listen({ port: Number(port.published), host: port.host_ip || '0.0.0.0' }, () => resolve('free'))
  })
  if (code === 'free') await new Promise((resolve) => server.close(resolve))
  // Who may not listen there cannot tell.
  return code !== 'EADDRINUSE'
}

/** Certificates, and everybody's browser, need the name; the stack itself comes up without it. */
async function* names({ model, state }: Loaded): AsyncGenerator<UpStep> {
  const found = new Set<string>()
  for (const { checks } of Object.values(state.services).map((each) => each.health))
    for (const check of checks) if (check.kind === 'http') found.add(hostOf(check.url))
  for (const service of Object.values(model.services))
    found.add(hostOf(service.environment?.['GITEA__server__ROOT_URL'] ?? ''))
  for (const name of found) {
    if (name === '' || name === 'localhost' || isIP(name) !== 0) continue
    const addresses = await lookup(name, { all: true }).catch(() => [])
    yield addresses.length > 0
      ? fine('name', `${name} is ${addresses.map((each) => each.address).join(', ')}`)
      : warning(
          'name',
          `${name} has no address yet`,
          'Let its A or AAAA record lead to this host, then run up again.',
        )
  }
}

const hostOf = (url: string): string =>
  URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : ''

type Looking = { engine: Pick<Engine, 'volumesThere'>; journal: Pick<Journal, 'history'> }

/** Null on a machine that never held any of it. A volume may outlive its containers, and the journal. */
async function whereDataMayBe(
  parts: Looking,
  { model }: Pick<Loaded, 'model'>,
  current: Running[],
): Promise<{ said: string; otherwise: string } | null> {
  if (current.length > 0) return { said: current.map((each) => each.name).join(', '), otherwise: '' }
  if (parts.journal.history(1).length > 0)
    return { said: 'Samovar has worked on this host before', otherwise: '' }
  const volumes = await parts.engine.volumesThere(projectVolumes(model).map((each) => each.name))
  if (volumes.length === 0) return null
  return {
    said: `${volumes.length === 1 ? 'the volume' : 'the volumes'} ${volumes.join(', ')}`,
    otherwise: ` Only when nothing in them is needed any more: docker volume rm ${volumes.join(' ')}`,
  }
}

/** What is missing and cannot be made here, or must not be. */
export async function* checkSecrets(
  { parts, settings }: { parts: Looking; settings: Pick<Settings, 'lookup'> },
  loaded: { state: { host: Pick<Host, 'variables'> }; model: Loaded['model'] },
  current: Running[],
): AsyncGenerator<UpStep> {
  const { host } = loaded.state
  const missing = missingFiles(host)
  const used = await whereDataMayBe(parts, loaded, current)
  for (const { variable, path, kind } of missing) {
    if (kind === null)
      yield problem(
        'secrets',
        `${variable}: ${path} is missing`,
        'Only you know it: write it into that file, readable for root only.',
      )
    else if (kind.bindsData && used !== null)
      yield problem(
        'secrets',
        `${variable}: ${path} is missing, and there is data that may have been written with it: ${used.said}`,
        `Bring the file back from your copy: a new one would not fit.${used.otherwise}`,
      )
  }
  for (const name of missingVariables(host, settings.lookup))
    yield problem(
      'secrets',
      `${name} is not set in the environment of Samovar`,
      'Set it in the file that --environment names.',
    )
  if (missing.length === 0) yield fine('secrets', 'all are there')
}
