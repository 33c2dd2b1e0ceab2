import { describe, expect, test } from 'vitest'
import { type ComposeNames, crossReferences } from '../../reconciler/desired-state/cross-references.ts'
import { findingLine } from '../../reconciler/desired-state.ts'
import { goodHost, goodService, readingOf } from './checkout.ts'

const host = 'desired-state/host.yaml'
const gitea = 'desired-state/services/gitea.yaml'
const compose: ComposeNames = {
  services: {
    gitea: { profiles: [], volumes: ['gitea-data'] },
    postgres: { profiles: [], volumes: ['postgres-data'] },
    certbot: { profiles: ['jobs'], volumes: ['certificates'] },
  },
  volumes: ['gitea-data', 'postgres-data', 'certificates'],
}

async function lines(files: Record<string, string | null>, names: ComposeNames = compose): Promise<string[]> {
  const { draft, files: read } = await readingOf({
    'desired-state/services/postgres.yaml': goodService,
    ...files,
  })
  return crossReferences(draft, names, read).map(findingLine)
}

describe('cross-references', () => {
  test('nothing is said when everything that is named exists', async () => {
    const text = `${goodService}data:
  - { postgres: postgres, database: gitea, user: gitea }
  - { volume: gitea-data }
health: { checks: [{ command: [true], in: postgres }] }
`.replace('[true]', '["true"]')
    const jobs =
      'jobs: { renew: { schedule: "0 1 * * *", run: { service: certbot }, then: { reload: gitea } } }\n'
    expect(await lines({ [gitea]: text, [host]: goodHost + jobs })).toEqual([])
  })

  test('a Compose service without a file is asked for one, unless it has a profile', async () => {
    expect(await lines({ 'desired-state/services/postgres.yaml': null })).toEqual([
      `${host}:3:1: compose: the Compose service \`postgres\` has no version, expected desired-state/services/postgres.yaml with image and tag`,
    ])
  })

  test('a file that is there but broken is not called missing', async () => {
    expect(await lines({ 'desired-state/services/postgres.yaml': 'image: [\n' })).toEqual([])
  })

  test('a file without a Compose service is named, with the service that was meant', async () => {
    expect(await lines({ 'desired-state/services/gitae.yaml': goodService })).toEqual([
      'desired-state/services/gitae.yaml:1:1: file: `gitae` is not a service of the Compose files, expected gitea, postgres, certbot (did you mean gitea?)',
    ])
  })

  test('volumes and services that do not exist are named where they are written', async () => {
    const text = `${goodService}data:
  - { postgres: postgers, database: gitea, user: gitea }
  - { volume: gitea_data }
  - { volume: constructor }
health: { checks: [{ command: [a], in: toString }] }
`
    expect(await lines({ [gitea]: text })).toEqual([
      `${gitea}:4:17: data[0].postgres: \`postgers\` is not a service of the Compose files, expected gitea, postgres, certbot (did you mean postgres?)`,
      `${gitea}:5:15: data[1].volume: \`gitea_data\` is not a volume of the Compose files, expected gitea-data, postgres-data, certificates (did you mean gitea-data?)`,
      `${gitea}:6:15: data[2].volume: \`constructor\` is not a volume of the Compose files, expected gitea-data, postgres-data, certificates`,
      `${gitea}:7:40: health.checks[0].in: \`toString\` is not a service of the Compose files, expected gitea, postgres, certbot`,
    ])
  })

  test('data in a volume that the service does not mount is a slip', async () => {
    const text = `${goodService}data: [{ volume: postgres-data }, { volume: unused }]\n`
    const names = { ...compose, volumes: [...compose.volumes, 'unused'] }
    expect(await lines({ [gitea]: text }, names)).toEqual([
      `${gitea}:3:18: data[0].volume: \`postgres-data\` is mounted by postgres, expected a volume of gitea: gitea-data`,
      `${gitea}:3:45: data[1].volume: \`unused\` is mounted by no service, expected a volume of gitea: gitea-data`,
    ])
  })

  test('the file of a database server may name the volumes of those who have their databases in it', async () => {
    const data = `${goodService}data: [{ postgres: postgres, database: a, user: a }, { volume: gitea-data }]\n`
    const server = 'desired-state/services/postgres.yaml'
    expect(await lines({ [gitea]: data, [server]: data })).toEqual([])
    const nobody = { ...compose, volumes: [...compose.volumes, 'unused'] }
    expect(await lines({ [gitea]: data, [server]: data.replace('gitea-data', 'unused') }, nobody)).toEqual([
      `${server}:3:64: data[1].volume: \`unused\` is mounted by no service, expected a volume of postgres: postgres-data`,
    ])
  })

  test('two files that share a database name the same user', async () => {
    const data = (user: string) =>
      `${goodService}data: [{ postgres: postgres, database: a, user: ${user} }]\n`
    const server = 'desired-state/services/postgres.yaml'
    expect(await lines({ [gitea]: data('gitea'), [server]: data('admin') })).toEqual([
      `${server}:3:49: data[0].user: \`admin\` is not the user that ${gitea} names for this database, expected gitea in both`,
    ])
  })

  test('services of jobs exist', async () => {
    const jobs =
      'jobs:\n  renew: { schedule: "0 1 * * *", run: { service: certbt }, then: { restart: nginx } }\n'
    expect(await lines({ [host]: goodHost + jobs })).toEqual([
      `${host}:5:51: jobs.renew.run.service: \`certbt\` is not a service of the Compose files, expected gitea, postgres, certbot (did you mean certbot?)`,
      `${host}:5:78: jobs.renew.then.restart: \`nginx\` is not a service of the Compose files, expected gitea, postgres, certbot`,
    ])
  })

  test('a job runs a service that does not run by itself, and watches a volume of it', async () => {
    const job = (service: string, volume: string) =>
      `${goodHost}jobs:\n  renew: { schedule: "0 1 * * *", run: { service: ${service} }, then: { reload: gitea, ifChanged: { volume: ${volume} } } }\n`
    expect(await lines({ [host]: job('certbot', 'certificates') })).toEqual([])
    expect(await lines({ [host]: job('gitea', 'gitea-data') })).toEqual([
      `${host}:5:51: jobs.renew.run.service: \`gitea\` runs all the time, expected a service with a profile, as in \`profiles: [jobs]\``,
    ])
    expect(await lines({ [host]: job('certbot', 'gitea-data') })).toEqual([
      `${host}:5:106: jobs.renew.then.ifChanged.volume: \`gitea-data\` is not mounted by certbot, expected certificates`,
    ])
    expect(await lines({ [host]: job('certbot', 'certificate') })).toEqual([
      `${host}:5:106: jobs.renew.then.ifChanged.volume: \`certificate\` is not a volume of the Compose files, expected certificates (did you mean certificates?)`,
    ])
  })

  test('findings of a file with another mistake come as well', async () => {
    expect(await lines({ [gitea]: `${goodService}heatlh: 1\ndata: [{ volume: nope }]\n` })).toHaveLength(1)
  })

  test('an empty Compose model refuses every file', async () => {
    expect(await lines({}, { services: {}, volumes: [] })).toHaveLength(2)
  })
})
