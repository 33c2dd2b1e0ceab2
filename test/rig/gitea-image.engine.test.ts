import { join } from 'node:path'
import { expect, test } from 'vitest'
import { connectSetup } from '../../reconciler/gitea/setup-calls.ts'
import { clean } from '../end-to-end/test-host.ts'
import { pushGitea } from './gitea-image.ts'
import { pushPostgres } from './postgres-image.ts'
import { type Finished, mustRun, run } from './process.ts'
import { freePort } from './registry.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'
import { type RigInUse, useRig } from './use-rig.ts'

const password = 'of-the-database'

async function startedGitea(rig: RigInUse, project: string, tag: string) {
  const port = await freePort()
  const network = await mustRun('docker', ['network', 'create', '--label', label(project), project], {
    env: env(rig),
  })
  const database = ['POSTGRES_USER=gitea', 'POSTGRES_DB=gitea', `POSTGRES_PASSWORD=${password}`]
  await started(rig, project, [
    '--name',
    `${project}-postgres`,
    ...each('-e', database),
    rig.image('postgres', '15.1'),
  ])
  const start = (version: string) =>
    started(rig, project, [
      ...['--name', `${project}-gitea`, '-p', `127.0.0.1:${port}:3000`, '-v', `${project}-data:/data`],
      ...each('-e', [
        'GITEA__security__INSTALL_LOCK=true',
        `GITEA__database__HOST=${project}-postgres:5432`,
        'GITEA__database__NAME=gitea',
        'GITEA__database__USER=gitea',
        `GITEA__database__PASSWD=${password}`,
        `GITEA__server__ROOT_URL=http://127.0.0.1:${port}/`,
      ]),
      rig.image('gitea', version),
    ])
  await start(tag)
  const url = `http://127.0.0.1:${port}`
  const gitea = (...words: string[]): Promise<Finished> =>
    run('docker', ['exec', '-u', 'git', `${project}-gitea`, 'gitea', ...words], { env: env(rig) })
  return { url, network, start, gitea }
}

const env = (rig: RigInUse) => ({ ...process.env, ...rig.environment })
const label = (project: string) => `com.docker.compose.project=${project}`
const each = (option: string, values: string[]) => values.flatMap((value) => [option, value])
const started = (rig: RigInUse, project: string, args: string[]) =>
  mustRun('docker', ['run', '-d', '--network', project, '--label', label(project), ...args], {
    env: env(rig),
  })

const status = async (url: string): Promise<number> =>
  (await fetch(url, { headers: { connection: 'close' } }).catch(() => null))?.status ?? 0

test('the stand-in for Gitea is set up by its commands, takes a push, and knows everything in a newer version', {
  timeout: 300_000,
}, async () => {
  const rig = useRig()
  const project = rig.project('gitea')
  await pushPostgres(rig.registry, rig.cacheFolder)
  await pushGitea(rig.registry, rig.cacheFolder)
  await using folder = await tempFolder('gitea-image')
  try {
    const { url, start, gitea } = await startedGitea(rig, project, '1.27.1')
    await until('healthy', async () => (await status(`${url}/api/healthz`)) === 200, { withinMs: 60_000 })
    expect(await (await fetch(`${url}/api/v1/version`)).json()).toEqual({ version: '1.27.1' })
    expect((await gitea('--version')).stdout).toContain('gitea version 1.27.1')
    const words = [
      'admin',
      'user',
      'create',
      '--username',
      'alice',
      '--email',
      'alice@example.com',
      '--admin',
    ]
    const created = await gitea(...words, '--random-password', '--must-change-password=false')
    const secret = /generated random password is '(.*)'/.exec(created.stdout)?.[1] ?? ''
    expect(created).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await gitea(...words, '--random-password')).toMatchObject({ exitCode: 1 })

    const setup = connectSetup({ url, authorization: { user: 'alice', password: secret } })
    await setup.createOrganisation({ name: 'ops', private: true })
    const wanted = {
      owner: 'ops',
      name: 'host',
      description: '',
      private: true,
      autoInit: true,
      defaultBranch: 'main',
    }
    await setup.createRepository(wanted)
    const address = `${url.replace('://', `://alice:${secret}@`)}/ops/host.git`
    const clone = join(folder.path, 'clone')
    await mustRun('git', ['clone', '-q', address, clone])
    const git = (...args: string[]) =>
      mustRun('git', ['-C', clone, '-c', 'user.name=a', '-c', 'user.email=a@b.c', ...args])
    await git('commit', '-q', '--allow-empty', '-m', 'one')
    await git('push', '-q', 'origin', 'HEAD:main')
    const head = await git('rev-parse', 'HEAD')
    const token = (await gitea('actions', 'generate-runner-token', '-s', 'ops/host')).stdout.trim()
    expect(token).toMatch(/^\w{40}$/)

    await mustRun('docker', ['rm', '-f', `${project}-gitea`], { env: env(rig) })
    await start('1.27.2')
    await until('healthy again', async () => (await status(`${url}/api/healthz`)) === 200, {
      withinMs: 60_000,
    })
    expect(await setup.version()).toBe('1.27.2')
    expect(await mustRun('git', ['ls-remote', address, 'refs/heads/main'])).toContain(head.trim())
    expect((await gitea('actions', 'generate-runner-token', '-s', 'ops/host')).stdout.trim()).toBe(token)

    await mustRun('docker', ['rm', '-f', `${project}-gitea`], { env: env(rig) })
    await start('1.28.0')
    await until('it is broken', async () => (await status(`${url}/api/healthz`)) === 502, {
      withinMs: 60_000,
    })
    await mustRun('docker', ['rm', '-f', `${project}-gitea`], { env: env(rig) })
    await start('1.27.2')
    const logs = () => run('docker', ['logs', `${project}-gitea`], { env: env(rig) })
    await until('it refuses', async () => (await logs()).stderr.includes('is for a newer Gitea'), {
      withinMs: 30_000,
    })
  } finally {
    await clean(rig, project)
    await run('docker', ['volume', 'rm', '-f', `${project}-data`], { env: env(rig) })
  }
})
