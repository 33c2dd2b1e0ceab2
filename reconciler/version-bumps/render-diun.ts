import { Document, isScalar, stringify } from 'yaml'
import { databaseServers } from '../desired-state/policies.ts'
import type { DesiredState, ServicePolicy } from '../desired-state.ts'
import { isNginx, isPostgres } from './choose.ts'
import { fullImageName, readImageName } from './image-name.ts'
import { mayBePadded, parseVersion } from './version.ts'

/**
 * One item of Diun's file provider. These keys and no others: Diun 4.33 drops the whole file for a single key that it
 * does not know, and crashes on a `regopt` that its own configuration lacks.
 */
type DiunItem = {
  name: string
  watch_repo: true
  sort_tags: 'semver'
  max_tags: number
  include_tags: string[]
}

/**
 * Newest tags that are looked at for each service. Few: on its first run Diun pulls the manifests of all of them, and
 * the newest one is enough to say that there is something new.
 */
const tagsOfEach = 5

/**
 * The images file for Diun, one item for each repository: two items of one repository would race for Diun's database,
 * and one of them loses its events. Names carry the tag and no digest, since a digest that changes looks to Diun like
 * another image and repeats old events.
 */
export function renderDiunImages(state: DesiredState): string {
  const servers = databaseServers(Object.values(state.services))
  const { watched, leftOut } = repositories(state)
  const items: DiunItem[] = [...watched].map(([repository, policies]) => {
    const filters = policies.map((policy) => tagFilter(policy, servers.has(policy.service)))
    return {
      name: `${repository}:${policies[0]?.tag ?? ''}`,
      watch_repo: true,
      sort_tags: 'semver',
      max_tags: tagsOfEach * new Set(filters).size,
      include_tags: [...new Set(filters)],
    }
  })
  const lines = [
    `Images of ${state.host.name} for Diun's file provider. Printed by \`samovar render diun\`: do not edit, print it again.`,
    ...leftOut.map(
      (image) => `${image} is left out: Diun crashes on a name with this registry and one part only.`,
    ),
  ]
  return `${comment(lines)}${stringify(items, { lineWidth: 0 })}`
}

/** Where Diun reaches `/hooks/diun` of Samovar, and what is to be said beside it. */
export type DiunEndpoint = { url: string; remark: string | null }

/**
 * Diun's own configuration, as an example to start from. The token comes through the environment, and with it the
 * content type, so that both headers come from one place.
 */
export function renderDiunConfiguration(state: DesiredState, { url, remark }: DiunEndpoint): string {
  const local = localRegistries(state).map((name) => ({ name, selector: 'image', insecureTLS: true }))
  const configuration = {
    watch: { schedule: '0 */6 * * *', jitter: '30s', workers: 5, firstCheckNotif: false, runOnStartup: true },
    ...(local.length === 0 ? {} : { regopts: local }),
    notif: { webhook: { endpoint: url, method: 'POST', timeout: '10s' } },
    providers: { file: { filename: '/etc/diun/images.yml' } },
  }
  const lines = [
    'Diun for Samovar: /etc/diun/diun.yml, beside /etc/diun/images.yml from `samovar render diun`. Both headers come from',
    'the environment, in Compose (where names with a dash are allowed):',
    '',
    '  services:',
    '    diun:',
    '      image: docker.io/crazymax/diun:4.33.0',
    '      command: serve',
    '      environment:',
    '        GRPC_AUTHORITY: 127.0.0.1:42286  # else its control port answers everybody',
    '        DIUN_NOTIF_WEBHOOK_HEADERS_CONTENT-TYPE: application/json',
    '        DIUN_NOTIF_WEBHOOK_HEADERS_AUTHORIZATION: Bearer $SAMOVAR_DIUN_TOKEN',
    '      volumes: [diun:/data, ./diun:/etc/diun:ro]',
    '  volumes:',
    '    diun:',
    '',
    'The token is what `openssl rand -hex 32` prints: the same for Samovar (SAMOVAR_DIUN_TOKEN_FILE) and, as SAMOVAR_DIUN_TOKEN,',
    "in .env beside this Compose file; in the host's own stack under `variables:` in host.yaml.",
    '',
    'The endpoint must be one that Diun reaches from its own container. Without the method it sends GET, and without the',
    'content type it is refused. It sends each event once and forgets one that was not taken: `bumps: { sweep: ... }` in',
    'host.yaml makes up for that. LOG_LEVEL=debug prints the token.',
  ]
  const document = new Document(configuration)
  const endpoint = document.getIn(['notif', 'webhook', 'endpoint'], true)
  if (isScalar(endpoint) && remark !== null) endpoint.comment = ` ${remark}`
  return `${comment(lines)}${document.toString({ lineWidth: 0 })}`
}

function comment(lines: string[]): string {
  return lines
    .map((line) => `# ${line}`.trimEnd())
    .join('\n')
    .concat('\n')
}

/** Services by repository, in the order of their names, so that the file changes only when the desired state does. */
function repositories(state: DesiredState): { watched: Map<string, ServicePolicy[]>; leftOut: string[] } {
  const watched = new Map<string, ServicePolicy[]>()
  const leftOut: string[] = []
  const policies = Object.values(state.services).toSorted((one, other) =>
    one.service < other.service ? -1 : 1,
  )
  for (const policy of policies) {
    const repository = fullImageName(policy.image)
    if (repository === null) continue
    // Seen with Diun 4.33: ghcr.io/x ends it with "index out of range", for ever under `restart: always`.
    if (/^ghcr\.io\/[^/]+$/.test(repository)) leftOut.push(repository)
    else watched.set(repository, [...(watched.get(repository) ?? []), policy])
  }
  return { watched, leftOut: [...new Set(leftOut)] }
}

/** Diun speaks plain HTTP to no registry by itself, not even on this machine. */
function localRegistries(state: DesiredState): string[] {
  const names = Object.values(state.services).map(({ image }) => readImageName(image)?.registry ?? '')
  return [...new Set(names)].filter((name) => /^(?:localhost|127\.|\[::1\])/.test(name)).toSorted()
}

/**
 * What may follow the tag of a service, and that tag itself, as Go's RE2 reads it: anchored, since Diun searches.
 * Built from the shape of the tag and not from `tags`, which is JavaScript's and may say what RE2 cannot. What is
 * beyond `accept` is left out here already: of all releases of an image the newest few would be another major.
 */
export function tagFilter({ image, tag, update }: ServicePolicy, isDatabaseServer: boolean): string {
  const version = parseVersion(tag)
  if (version === null || update.accept === 'digest') return `^${escaped(tag)}$`
  const { prefix, suffix } = version
  const written = tag.slice(prefix.length, tag.length - suffix.length).split('.')
  const isServer = isDatabaseServer || isPostgres(image)
  const fixed = { patch: 2, minor: 1, major: 0 }[update.accept]
  const kept = isServer ? (written.length === 2 ? 1 : Math.max(1, fixed)) : fixed
  const parts = written.map((part, at) => {
    if (at < kept) return mayBePadded(version) ? `0*${BigInt(part)}` : part
    if (at !== 1 || !isNginx(image)) return '\\d+'
    return (version.parts[1] ?? 0n) % 2n === 0n ? '\\d*[02468]' : '\\d*[13579]'
  })
  return `^${prefix}${parts.join('\\.')}${escaped(suffix)}$`
}

/** A tag has no other signs that mean something to a regular expression. */
const escaped = (text: string): string => text.replaceAll('.', '\\.')
