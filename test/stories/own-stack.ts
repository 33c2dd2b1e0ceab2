import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { type Files, openStage, type Stage } from '../pull-requests/stage.ts'

const root = join(import.meta.dirname, '../..')

export type OwnStack = Stage & {
  /** Commits these versions of services, and what else stands in their files. */
  want(services: Record<string, { tag: string; [key: string]: unknown }>): Promise<string>
  /** A version in the registry; healthy, and ended at once where others wait for that, unless something else is said. */
  publish(service: string, tag: string, behaviour?: Parameters<Stage['host']['publish']>[1]): void
  /** The version that this repository wants. */
  tag(service: string): string
  /** Which container a service has, its version and its state: `0123abcd 1.27.1 running`. */
  standing(service: string): Promise<string>
}

type ServiceFile = { image: string; tag: string; [key: string]: unknown }

/**
 * The stack of this very repository on a pretend engine: its own Compose files, and its own desired state but for what
 * only a real host has: secrets in files, data that somebody must dump, addresses that somebody must answer.
 */
export async function startOwnStack(): Promise<OwnStack> {
  const files = await filesOf('compose')
  const services = new Map<string, ServiceFile>()
  for (const [path, text] of Object.entries(await filesOf('desired-state'))) {
    const service = /services\/(.*)\.yaml$/.exec(path)?.[1]
    if (service === undefined) files[path] = hostWithoutSecrets(text ?? '')
    else services.set(service, quick(parse(text ?? '') as ServiceFile))
  }
  const once = await endingByThemselves()
  const inRepository = (service: string, file: ServiceFile): Files => ({
    [`desired-state/services/${service}.yaml`]: stringify(file),
  })
  for (const [service, file] of services) Object.assign(files, inRepository(service, file))
  const stage = await openStage(files)
  const stack: OwnStack = {
    ...stage,
    want: async (wanted) => {
      const changed = Object.entries(wanted).map(([service, other]) =>
        inRepository(service, { ...(services.get(service) as ServiceFile), ...other }),
      )
      return stage.commit(Object.assign({}, ...changed) as Files)
    },
    publish(service, tag, behaviour) {
      const usual = once.has(service) ? { exits: 0 } : { health: 'healthy' as const }
      stage.host.publish(`${services.get(service)?.image}:${tag}`, behaviour ?? usual)
    },
    tag: (service) => services.get(service)?.tag ?? '',
    async standing(service) {
      const all = (await stage.host.engine.observe('gitea')).filter((each) => each.service === service)
      return all.map(({ instance, image, state }) => `${instance.slice(0, 8)} ${image.tag} ${state}`).join()
    },
  }
  for (const [service, { tag }] of services) stack.publish(service, tag)
  const { operations, findings } = await stack.pass()
  const bad = operations.filter(({ result }) => result !== 'applied')
  const said = [
    ...findings.map(({ message }) => message),
    ...bad.map(({ service, reason }) => `${service}: ${reason}`),
  ]
  if (said.length > 0) throw new Error(`the stack did not come up: ${said.join('; ')}`)
  return stack
}

async function filesOf(folder: string): Promise<Files> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  const paths = entries.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name))
  const read = paths.map(async (path) => [path.slice(root.length + 1), await readFile(path, 'utf8')] as const)
  return Object.fromEntries(await Promise.all(read))
}

function hostWithoutSecrets(text: string): string {
  const host = parse(text) as { variables: Record<string, unknown>; backup?: unknown }
  const plain = Object.entries(host.variables).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : name,
  ])
  delete host.backup
  return stringify({ ...host, variables: Object.fromEntries(plain) })
}

/** Without windows, so that a story needs no Sunday. */
function quick({ image, tag, update }: ServiceFile): ServiceFile {
  const checks = [{ container: 'healthy', every: '20ms' }]
  const policy = { ...(update as Record<string, unknown>) }
  delete policy['window']
  return { image, tag, update: policy, health: { within: '2s', steady: '0s', soak: '0s', checks } }
}

async function endingByThemselves(): Promise<Set<string>> {
  const compose = parse(await readFile(join(root, 'compose/compose.yaml'), 'utf8'), { merge: true }) as {
    services: Record<string, { depends_on?: Record<string, { condition?: string }> }>
  }
  const waits = Object.values(compose.services).flatMap((each) => Object.entries(each.depends_on ?? {}))
  return new Set(
    waits
      .filter(([, { condition }]) => condition === 'service_completed_successfully')
      .map(([service]) => service),
  )
}
