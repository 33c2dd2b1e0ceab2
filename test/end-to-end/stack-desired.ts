import { randomInt } from 'node:crypto'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import { pebblePort } from '../rig/acme-images.ts'
import { quietGit } from '../rig/git-server.ts'
import { mustRun } from '../rig/process.ts'
import type { RigInUse } from '../rig/use-rig.ts'

export const domain = 'git.example.test'
/** A moment of the calendar that no run of the tests meets by itself. */
const never = '0 4 29 2 *'
const root = resolve(import.meta.dirname, '../..')

/** What this machine has for the stack. */
export type Place = {
  rig: RigInUse
  project: string
  address: string
  at: (name: string) => string
  managementPort: number
}

export type Document = Record<string, unknown>
type ServiceFile = {
  image: string
  tag: string
  health?: { within?: string; steady?: string; soak?: string; checks?: Record<string, unknown>[] }
}

/** The desired state of this repository with what this machine has; answers the tags that it names. */
export async function copyOf(place: Place): Promise<Record<string, string>> {
  const { at, rig } = place
  const folder = at('checkout')
  for (const name of ['compose', 'desired-state'])
    await cp(join(root, name), join(folder, name), { recursive: true })
  const read = async (name: string) =>
    parse((await readFile(join(folder, name), 'utf8')).replaceAll('git.example.com', domain)) as unknown
  const write = (name: string, document: unknown) => writeFile(join(folder, name), stringify(document))
  const host = (await read('desired-state/host.yaml')) as Document
  await write('desired-state/host.yaml', hostFile(place, host))
  const tags: Record<string, string> = {}
  for (const each of await readdir(join(folder, 'desired-state/services'))) {
    const name = `desired-state/services/${each}`
    const file = (await read(name)) as ServiceFile
    const image = file.image.split('/').at(-1) ?? ''
    if (each === 'gitea.yaml') file.tag = '1.27.1'
    if (each === 'postgres.yaml') file.tag = '18.5'
    tags[image] = file.tag
    await write(name, { ...file, image: `${rig.registry}/${image}`, health: healthFor(place, file) })
  }
  await write('compose/test.yaml', composeFile(place))
  await write('desired-state/services/pebble.yaml', {
    image: `${rig.registry}/pebble`,
    tag: '2.4.0',
    health: { within: '1m', steady: '100ms', soak: '0s' },
  })
  const git = (...words: string[]) => mustRun('git', ['-C', folder, ...words], { env: quietGit })
  await git('init', '-q', '--initial-branch=main')
  await git('add', '-A')
  await git('commit', '-q', '-m', 'our host')
  return tags
}

function hostFile({ project, at, address }: Place, host: Document): Document {
  const variables = Object.entries(host['variables'] as Record<string, string | { secret: string }>).map(
    ([name, value]) => [
      name,
      typeof value === 'string'
        ? value
        : { secret: value.secret.replace('/etc/samovar/secrets', at('secrets')) },
    ],
  )
  const [store] = (host['backup'] as { stores: Document[] }).stores
  const jobs = host['jobs'] as Record<string, Document>
  for (const job of Object.values(jobs)) job['schedule'] = never
  return {
    ...host,
    project,
    compose: ['compose/compose.yaml', 'compose/test.yaml'],
    variables: {
      ...(Object.fromEntries(variables) as Document),
      HTTP_PORT: `${address}:80`,
      HTTPS_PORT: `${address}:443`,
      SSH_PORT: `${address}:2222`,
      DOOR_SUBNET: `10.${randomInt(200, 250)}.${randomInt(256)}.0/24`,
      ACME_SERVER: `https://pebble:${pebblePort}/dir`,
      ACME_CA_BUNDLE: '/etc/authority.pem',
      SAMOVAR_STATE_DIR: at('state'),
      SAMOVAR_INSTALL_DIR: root,
    },
    bumps: { sweep: never },
    backup: { schedule: never, verify: never, stores: [{ ...store, file: at('backups') }] },
    jobs,
    notify: [
      {
        mail: ['ops@example.com'],
        on: ['applied', 'untouched', 'reverted', 'stuck', 'backup-failed', 'job-failed'],
      },
    ],
  }
}

/** The same checks, more often. */
function healthFor({ address, at }: Place, { health = {} }: ServiceFile): ServiceFile['health'] {
  const checks = (health.checks ?? []).map((check) => ({
    ...check,
    every: '250ms',
    ...(typeof check['tcp'] === 'string' ? { tcp: check['tcp'].replace('127.0.0.1', address) } : {}),
    // Nobody else trusts Pebble.
    ...(String(check['http']).startsWith('https:') ? { ca: at('authority.pem') } : {}),
  }))
  return { within: '90s', steady: '200ms', soak: '0s', ...(checks.length === 0 ? {} : { checks }) }
}

/** Beside compose.yaml: an authority that certbot trusts, and shorter times of the Engine's own checks. */
const composeFile = ({ at, managementPort }: Place): Document => ({
  services: {
    nginx: { healthcheck: { interval: '1s' } },
    postgres: { healthcheck: { interval: '1s' } },
    diun: { healthcheck: { interval: '1s' } },
    // Only the port is of interest to it.
    gitea: { environment: { GITEA__server__SSH_PORT: '2222' } },
    certbot: { volumes: [`${at('pebble/certificate.pem')}:/etc/authority.pem:ro`] },
    pebble: {
      image: 'pebble',
      stop_grace_period: '1s',
      networks: { outside: { aliases: ['pebble-2'] } },
      ports: [`127.0.0.1:${managementPort}:15000`],
      volumes: [`${at('pebble')}:/etc/pebble/tls:ro`],
    },
  },
})
