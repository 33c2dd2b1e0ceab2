import { expect, test } from 'vitest'
import { readEnvironment } from '../../reconciler/up/environment-file.ts'
import { run } from '../rig/process.ts'
import { startDaemon } from './samovar.ts'
import { startUpHost, type UpDocument } from './up-host.ts'

const limit = { timeout: 300_000 }

const named = (document: UpDocument, name: string) => document.steps.filter((step) => step.name === name)
const changes = (document: UpDocument) => document.steps.filter((step) => step.result === 'done')

test(
  'up brings a machine with nothing but a checkout to a host that follows its own Gitea, and does nothing when it is called again',
  limit,
  async () => {
    await using host = await startUpHost('up')
    const head = (await host.git('rev-parse', 'HEAD')).trim()

    const first = await host.up()
    expect(first.stderr).toContain('SERVICE')
    expect(first).toMatchObject({ exitCode: 0, document: { changed: true, url: host.url } })
    expect(first.document.services.map(({ service, version, state }) => [service, version, state])).toEqual([
      ['postgres', '15.1', 'healthy'],
      ['gitea', '1.27.1', 'running'],
      ['nginx', '1.0.0', 'running'],
      ['runner', '3.3.0', 'running'],
    ])
    expect(first.document.services.find((each) => each.service === 'gitea')?.addresses).toContain(host.url)

    // Through the door, with what was written down.
    const password = (await host.read(`${host.stateDir}/gitea-admin-password`)).trim()
    const ask = async (path: string) =>
      (await (
        await fetch(`${host.url}/api/v1${path}`, {
          headers: { authorization: `Basic ${Buffer.from(`operator:${password}`).toString('base64')}` },
        })
      ).json()) as Record<string, unknown>
    expect(await ask('/user')).toMatchObject({ login: 'operator', is_admin: true })
    expect(await ask('/repos/ops/host/branches/main')).toMatchObject({
      commit: { id: head },
      protected: true,
    })
    expect(await ask('/repos/ops/host/hooks')).toMatchObject([
      { config: { url: 'http://samovar.example.com/hooks/gitea' } },
    ])
    expect(await ask('/repos/ops/host/actions/runners')).toMatchObject({
      runners: [{ name: 'runner' }],
      total_count: 1,
    })
    const made = ['postgres-password', 'gitea-secret-key', 'gitea-internal-token', 'runner-token']
    // A copy of their folder is enough for a machine that comes back from its backups.
    for (const name of [...made, 'gitea-token', 'webhook-secret'])
      expect(await host.mode(host.secret(name))).toBe('600')
    expect(await host.mode(host.environmentFile)).toBe('600')

    // Nothing secret on the screen, in the journal's note, in the checkout's configuration.
    const secrets = await Promise.all(
      ['postgres-password', 'gitea-secret-key', 'gitea-internal-token', 'runner-token'].map((name) =>
        host.read(host.secret(name)),
      ),
    )
    const token = await host.read(host.secret('gitea-token'))
    const told = first.stdout + first.stderr + (await host.read(`${host.folder}/.git/config`))
    for (const secret of [...secrets, token, password]) expect(told).not.toContain(secret.trim())

    const containers = await host.containers()
    const settings = await host.read(host.environmentFile)
    const second = await host.up()
    expect(second).toMatchObject({ exitCode: 0, document: { changed: false } })
    expect(changes(second.document)).toEqual([])
    expect(second.stderr).toContain('nothing to do')
    expect(await host.containers()).toEqual(containers)
    expect(await host.read(host.environmentFile)).toBe(settings)

    // The daemon, with those settings and no others, follows what Gitea has and finds nothing to do.
    const environment = { PATH: host.environment['PATH'] ?? '', ...readEnvironment(settings) }
    expect(environment).toMatchObject({ SAMOVAR_REPOSITORY: `${host.url}/ops/host.git` })
    await using daemon = await startDaemon({ environment })
    await daemon.line('watches branch main')
    const status = await run(process.execPath, ['reconciler/cli.ts', 'status', '--json'], {
      env: environment,
    })
    expect(JSON.parse(status.stdout)).toMatchObject({
      commit: head,
      services: ['gitea', 'nginx', 'postgres', 'runner'].map(() => ({ sync: 'synced' })),
    })
    // While it runs, roll-outs are its work, and up only looks.
    const third = await host.up()
    expect(third).toMatchObject({ exitCode: 0, document: { changed: false } })
    expect(named(third.document, 'stack')).toMatchObject([{ said: 'the daemon runs and looks after it' }])
    expect(third.document.services).toHaveLength(4)
    expect(await host.containers()).toEqual(containers)
  },
)
