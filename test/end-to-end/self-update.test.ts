import { existsSync, readlinkSync } from 'node:fs'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { json } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { lookAtService } from '../../reconciler/self-update/service.ts'
import { serve } from '../health/servers.ts'
import { hasSystemdNotify, startNotifySocket } from '../rig/notify-socket.ts'
import { run } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { bootSystemd, canBootSystemd, treeInside } from '../rig/systemd.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { startSupervisor } from '../self-update/supervisor.ts'
import { startDaemon } from './samovar.ts'
import { hostYaml, startHost, webService } from './test-host.ts'

/** This very tree as a release of another version. */
async function releaseOfThisTree(
  folder: string,
  version: string,
  packages = resolve('node_modules'),
): Promise<string> {
  await mkdir(folder, { recursive: true })
  for (const part of ['reconciler', 'schemas']) await cp(part, join(folder, part), { recursive: true })
  const manifest = JSON.parse(await readFile('package.json', 'utf8')) as Record<string, unknown>
  await writeFile(join(folder, 'package.json'), JSON.stringify({ ...manifest, version }))
  await symlink(packages, join(folder, 'node_modules'))
  return folder
}

async function replaceIn(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(file, 'utf8')
  if (!text.includes(from)) throw new Error(`${file} has no ${from}`)
  await writeFile(file, text.replace(from, to))
}

/** A host whose Samovar is installed as releases, and runs from `current`. */
async function installedOn(purpose: string, notify = '') {
  const host = await startHost(purpose)
  if (notify !== '') await host.commit({ 'desired-state/host.yaml': hostYaml(host.project, notify) })
  const folder = await tempFolder(`${purpose}-opt`)
  const root = join(folder.path, 'opt')
  await releaseOfThisTree(join(root, 'releases/1.0.0'), '1.0.0')
  await symlink('releases/1.0.0', join(root, 'current'))
  const listen = `127.0.0.1:${await freePort()}`
  const url = `http://${listen}`
  const environment = {
    ...host.environment,
    SAMOVAR_LISTEN: listen,
    SAMOVAR_INSTALL_DIR: root,
    NO_COLOR: '1',
  }
  const supervisor = await startSupervisor(root, { environment, url })
  await supervisor.start()
  const shows = async (path: string) => JSON.stringify(await (await fetch(`${url}${path}`)).json())
  await until('1.0.0 has rolled out', async () => (await shows('/api/history')).includes('"applied"'), {
    withinMs: 60_000,
  })
  return {
    host,
    root,
    url,
    supervisor,
    shows,
    link: (name: string) => (existsSync(join(root, name)) ? readlinkSync(join(root, name)) : null),
    build: (version: string) => releaseOfThisTree(join(folder.path, version), version),
    /** `samovar self-update`, as the unit of the update calls it. */
    update: (...args: string[]) =>
      run(
        process.execPath,
        [
          join(root, 'current/reconciler/cli.ts'),
          'self-update',
          ...args,
          '--within',
          '60s',
          '--steady',
          '500ms',
        ],
        { env: { ...environment, SAMOVAR_RESTART_COMMAND: supervisor.restartCommand } },
      ),
    async [Symbol.asyncDispose]() {
      await supervisor[Symbol.asyncDispose]()
      await host[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('Samovar updates itself', { timeout: 240_000 }, () => {
  test('a good release is checked by its own doctor, runs, and knows all that was before', async () => {
    await using installed = await installedOn('self-good')
    const history = await installed.shows('/api/history')
    const release = await installed.build('1.1.0')
    const updated = await installed.update(release, '--json')
    expect([updated.exitCode, updated.stderr]).toEqual([0, expect.stringContaining('check release')])
    expect(JSON.parse(updated.stdout)).toMatchObject({ phase: 'kept', from: '1.0.0', to: '1.1.0' })
    expect(await lookAtService(installed.url)).toMatchObject({ state: 'ready', version: '1.1.0' })
    expect(await installed.shows('/api/history')).toBe(history)
    expect(installed.link('previous')).toBe('releases/1.0.0')
  })

  test('one that does not start goes, and the one before reads the journal that it changed and tells people', async () => {
    const told: unknown[] = []
    await using hook = await serve((request, response) => {
      void json(request).then((body) => {
        told.push(body)
        response.end()
      })
    })
    const notify = `notify: [{ webhook: "${hook.url}/told", on: [reverted, stuck] }]\n`
    await using installed = await installedOn('self-bad', notify)
    const history = await installed.shows('/api/history')
    const release = await installed.build('1.1.0')
    // As releases do: a table and a column more. Then it cannot serve.
    await replaceIn(
      join(release, 'reconciler/journal.ts'),
      "  addColumn(database, 'requests', 'argument text')\n",
      "  addColumn(database, 'requests', 'argument text')\n  addColumn(database, 'operations', 'later text')\n  database.exec('create table if not exists later (id text primary key) strict')\n",
    )
    await replaceIn(
      join(release, 'reconciler/main.ts'),
      'export async function runDaemon',
      'export async function run',
    )
    const updated = await installed.update(release)
    expect(updated.exitCode).toBe(3)
    expect(updated.stderr).toMatch(
      /^went back from 1\.1\.0 to 1\.0\.0: .*\nnext: journalctl -u samovar has what 1\.1\.0 said/,
    )
    expect(await lookAtService(installed.url)).toMatchObject({ state: 'ready', version: '1.0.0' })
    expect(await installed.shows('/api/history')).toBe(history)
    expect(existsSync(join(installed.host.stateDir, 'journal-before-1.1.0.sqlite'))).toBe(true)
    await until('people know', () => told.length > 0, { withinMs: 20_000 })
    expect(told).toEqual([
      expect.objectContaining({
        event: 'reverted',
        about: 'samovar',
        happened: expect.stringMatching(/to 1\.1\.0 went back to 1\.0\.0: /),
      }),
    ])
    // And it still rolls out.
    await installed.host.commit({
      'desired-state/services/web.yaml': webService(installed.host.rig, { version: '1.1.0' }),
    })
    await until(
      'the next version is there',
      async () => JSON.stringify((await installed.host.get('/version'))?.body).includes('1.1.0'),
      { withinMs: 60_000 },
    )
  })

  test('while a roll-out runs it is refused, and the roll-out goes on', async () => {
    await using installed = await installedOn('self-busy')
    const { host } = installed
    const health = `within: 12s\n  steady: 200ms\n  checks:\n    - { http: "http://127.0.0.1:${host.port}/healthz", every: 200ms }`
    await host.commit({
      'desired-state/services/web.yaml': webService(host.rig, { version: '2.0.0', health }),
    })
    await until(
      'it is rolled out',
      async () => (await installed.shows('/api/status')).includes('rolling-out'),
      {
        withinMs: 30_000,
      },
    )
    const refused = await installed.update(await installed.build('1.1.0'))
    expect([refused.exitCode, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/^samovar: replace of web \(.*\) is not finished\nnext: Wait until/),
    ])
    expect([installed.link('current'), installed.supervisor.restarts]).toEqual(['releases/1.0.0', 0])
    await until('it went back', async () => (await installed.shows('/api/history')).includes('"reverted"'), {
      withinMs: 60_000,
    })
  })
})

test.skipIf(!hasSystemdNotify)(
  'systemd is told when it is ready, each step, that it goes well, and the end',
  async () => {
    await using host = await startHost('notify')
    await using socket = await startNotifySocket()
    {
      await using daemon = await startDaemon(host, { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '600000' })
      await until('it is ready', () => socket.fields().includes('READY=1'), { withinMs: 20_000 })
      expect((await daemon.get('/livez')).status).toBe(200)
      await daemon.line('web: applied')
      await until(
        'a commit is in force',
        () => socket.fields().some((field) => /^STATUS=commit [0-9a-f]{8} is in force$/.test(field)),
        {
          withinMs: 20_000,
        },
      )
      expect(socket.fields()).toContain('WATCHDOG=1')
      expect(socket.fields().filter((field) => /^STATUS=web: step .*, \d+ (ms|s)$/.test(field))).not.toEqual(
        [],
      )
      daemon.signal('SIGTERM')
      expect(await daemon.ended).toBe(0)
    }
    await until('it told its end', () => socket.fields().includes('STOPPING=1'), { withinMs: 5_000 })
  },
)

test.skipIf(!canBootSystemd)(
  'under the unit as it is delivered, a merge reaches the host',
  { timeout: 180_000 },
  async () => {
    await using host = await startHost('unit')
    await using built = await tempFolder('unit-built')
    // A tree in /tmp would be hidden by PrivateTmp.
    await releaseOfThisTree(join(built.path, '1.0.0'), '1.0.0', `${treeInside}/node_modules`)
    const listen = `127.0.0.1:${await freePort()}`
    const { SAMOVAR_STATE_DIR: _, ...environment } = host.environment
    const settings = { ...environment, SAMOVAR_LISTEN: listen, SAMOVAR_SECRETS_DIR: '/run/samovar/secrets' }
    await writeFile(
      join(built.path, 'environment'),
      Object.entries(settings)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    )
    const socket = host.rig.dockerHost.replace('unix://', '')
    const units = [
      'samovar.service',
      'samovar-back.service',
      'samovar-again.service',
      'samovar-update@.service',
    ]
    await using machine = await bootSystemd(
      units.map((name) => join('compose/samovar', name)),
      {
        visible: socket.startsWith('/run/') ? [dirname(socket)] : [],
        dropIns: { 'samovar-again.service': '[Service]\nEnvironment=PAUSE=1\n' },
      },
    )
    const installed = await machine.inside(
      `set -e; mkdir -p /opt/samovar/releases /etc/samovar; cp -r ${built.path}/1.0.0 /opt/samovar/releases/
     ln -s releases/1.0.0 /opt/samovar/current; cp ${built.path}/environment /etc/samovar/`,
    )
    expect([installed.exitCode, installed.stderr]).toEqual([0, ''])
    // Another Samovar works here first.
    const other = machine.inside(`exec node -e "
      import('${treeInside}/reconciler/journal/lock.ts').then(({ takeLock }) => {
        takeLock('/var/lib/samovar', 'samovar apply')
        require('fs').writeFileSync('/run/other.pid', String(process.pid))
        setInterval(() => {}, 1_000)
      })"`)
    await until(
      'the other one works',
      async () => (await machine.inside('cat /run/other.pid')).exitCode === 0,
      {
        withinMs: 20_000,
      },
    )
    expect((await machine.inside('systemctl start samovar')).exitCode).toBe(1)
    expect(await machine.property('samovar', 'ExecMainStatus')).toBe('75')
    await until(
      'it is tried again',
      async () => (await machine.property('samovar-again', 'ActiveState')) === 'activating',
      { withinMs: 20_000 },
    )
    await machine.inside('kill "$(cat /run/other.pid)"')
    await other
    const runs = (version: string) =>
      until(
        `${version} runs`,
        async () => JSON.stringify((await host.get('/version'))?.body).includes(version),
        { withinMs: 60_000 },
      )
    await runs('1.0.0')
    await host.commit({ 'desired-state/services/web.yaml': webService(host.rig, { version: '1.1.0' }) })
    await runs('1.1.0')
    await until(
      'systemd shows what it does',
      async () => /^commit [0-9a-f]{8} is in force$/.test(await machine.property('samovar', 'StatusText')),
      { withinMs: 90_000, everyMs: 1_000 },
    )
    expect(await machine.property('samovar', 'NRestarts')).toBe('0')
    const stopped = await machine.inside('systemctl stop samovar')
    expect([stopped.exitCode, await machine.property('samovar', 'Result')]).toEqual([0, 'success'])
  },
)
