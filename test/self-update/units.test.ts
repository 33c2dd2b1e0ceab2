import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { lookAtService } from '../../reconciler/self-update/service.ts'
import { mustRun, run, works } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { bootSystemd, canBootSystemd, treeInside } from '../rig/systemd.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { type Made, makeRelease } from './releases.ts'

const folder = 'compose/samovar'
const units = readdirSync(folder)
  .filter((name) => name.endsWith('.service'))
  .map((name) => join(folder, name))
const canVerify = await works('systemd-analyze', ['--version']).catch(() => false)

test.skipIf(!canVerify)('systemd accepts every line of the units', async () => {
  await using copy = await tempFolder('units')
  await cp(folder, copy.path, { recursive: true })
  const files = units.map((file) => join(copy.path, file.slice(folder.length + 1).replace('@.', '@1.4.2.')))
  await cp(join(copy.path, 'samovar-update@.service'), join(copy.path, 'samovar-update@1.4.2.service'))
  const { exitCode, stderr } = await run('systemd-analyze', ['verify', ...files])
  // Of a machine without Samovar or Docker it says so; that is no fault of a unit.
  const findings = stderr
    .split('\n')
    .filter((line) => line !== '' && !/is not executable|not found/.test(line))
    // Before 254.
    .filter(
      (line) =>
        !/samovar\.service:\d+: Unknown key( name)? 'RestartMode' in section \[?'?Service'?\]?, ignoring\.$/.test(
          line,
        ),
    )
  expect([exitCode, findings]).toEqual([0, []])
})

test('the units name the files that an installation has', () => {
  const text = units.map((file) => readFileSync(file, 'utf8')).join('\n')
  const named = [...text.matchAll(/\/opt\/samovar\/(current|previous)\/(\S+\.ts)/g)].map(([, , file]) => file)
  expect(new Set(named)).toEqual(new Set(['reconciler/cli.ts']))
  // All but samovar-again.service, which calls systemctl alone.
  expect(text.match(/EnvironmentFile=.*/g)).toEqual(
    units.slice(1).map(() => 'EnvironmentFile=/etc/samovar/environment'),
  )
})

test('in a container the state lies where the host has it, since the Engine is handed its paths', () => {
  const { services } = parse(readFileSync(join(folder, 'compose.yaml'), 'utf8'), { merge: true }) as {
    services: { samovar: { volumes: string[]; network_mode: string } }
  }
  const { volumes, network_mode } = services.samovar
  for (const volume of volumes) {
    const [outside, inside] = volume.split(':')
    expect(inside).toBe(outside)
  }
  expect(network_mode).toBe('host')
})

/** Of a drop-in: the command of a unit with one more option. */
function commandWith(unit: string, command: string, option: string): string {
  const [line = ''] = /^ExecStart=(?:.*\\\n)*.*/m.exec(readFileSync(join(folder, unit), 'utf8')) ?? []
  expect(line).toContain(command)
  return `[Service]\nExecStart=\n${line.replace(command, `${command} ${option}`)}\n`
}

describe.skipIf(!canBootSystemd)('under a real systemd', { timeout: 120_000 }, () => {
  let machine: Awaited<ReturnType<typeof bootSystemd>>
  let built: TempFolder
  let url: string
  const build = (made: Made) => makeRelease(join(built.path, made.version), { ...made, serves: treeInside })
  const version = async () => (await lookAtService(url)).version
  const runs = (expected: string, withinMs = 30_000) =>
    until(`${expected} runs`, async () => (await version()) === expected, { withinMs })
  const link = async (name: string) => (await machine.inside(`readlink /opt/samovar/${name}`)).stdout.trim()
  /** Puts an archive where the unit looks for it, and starts the unit. */
  const update = async (made: Made) => {
    const archive = join(built.path, `samovar-${made.version}.tar.gz`)
    await mustRun('tar', ['-czf', archive, '-C', build(made), '.'])
    const sha256 = createHash('sha256').update(readFileSync(archive)).digest('hex')
    await machine.inside(
      `cp ${archive} /opt/samovar/incoming/ && echo "${sha256}  x" > /opt/samovar/incoming/samovar-${made.version}.tar.gz.sha256`,
    )
    return machine.inside(`systemctl start samovar-update@${made.version}`)
  }

  beforeAll(async () => {
    built = await tempFolder('units-built')
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    machine = await bootSystemd(units, {
      // These times are for hosts; everything else is as it is delivered.
      dropIns: {
        'samovar.service': '[Service]\nWatchdogSec=3\nRestartSec=1\n',
        'samovar-again.service': '[Service]\nEnvironment=PAUSE=1\n',
        'samovar-back.service': commandWith('samovar-back.service', 'self-update --back', '--steady 1s'),
        'samovar-update@.service': commandWith('samovar-update@.service', '--wait', '--steady 1s'),
      },
    })
    const first = build({ version: '1.0.0' })
    const environment = `SAMOVAR_LISTEN=127.0.0.1:${port}\nPORT=${port}\n`
    const installed = await machine.inside(
      `set -e; mkdir -p /opt/samovar/releases /opt/samovar/incoming /etc/samovar; cp -r ${first} /opt/samovar/releases/1.0.0
       ln -s releases/1.0.0 /opt/samovar/current; printf '${environment}' > /etc/samovar/environment; systemctl start samovar`,
    )
    expect(installed.stderr).toBe('')
  }, 60_000)

  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]()
    await built?.[Symbol.asyncDispose]()
  })

  test('it is active when it is ready, and tells what it does', async () => {
    expect(await machine.property('samovar', 'ActiveState')).toBe('active')
    await until(
      'the status is there',
      async () => (await machine.property('samovar', 'StatusText')) === 'quiet',
      {
        withinMs: 10_000,
      },
    )
    expect(await lookAtService(url)).toMatchObject({ state: 'ready', version: '1.0.0' })
  })

  test('it may write where it must, and not where it need not', async () => {
    const { writes } = (await (await fetch(`${url}/writes`)).json()) as { writes: Record<string, boolean> }
    expect(writes).toEqual({
      '/var/lib/samovar': true,
      '/run/samovar': true,
      '/tmp': true,
      '/var/backups': true,
      '/opt/samovar': false,
      '/etc': false,
      '/usr': false,
      '/root': false,
    })
  })

  test('the unit of the update brings a good release, and keeps it', async () => {
    const started = await update({ version: '1.1.0' })
    expect([started.exitCode, started.stderr]).toEqual([0, ''])
    expect(await version()).toBe('1.1.0')
    expect([await link('current'), await link('previous')]).toEqual(['releases/1.1.0', 'releases/1.0.0'])
  })

  test('one crash is no reason to go back, nor is a start of samovar-back by hand', async () => {
    const pid = await machine.property('samovar', 'MainPID')
    await machine.inside('systemctl kill --signal=SIGKILL samovar')
    // As systemd 254 and later do it by themselves, while the unit waits for its next start.
    await machine.inside('systemctl start samovar-back')
    await runs('1.1.0')
    expect(await machine.property('samovar', 'MainPID')).not.toBe(pid)
    expect((await machine.inside('systemctl start samovar-back')).exitCode).toBe(0)
    expect(await machine.property('samovar-back', 'Result')).toBe('exec-condition')
    expect([await link('current'), await link('previous')]).toEqual(['releases/1.1.0', 'releases/1.0.0'])
  })

  const notNow = '/var/lib/samovar/not-now'
  const killNow = async () => {
    await machine.inside(`systemctl reset-failed samovar; touch ${notNow}`)
    await machine.inside('systemctl kill --signal=SIGKILL samovar')
  }
  test('a start that is not possible yet is tried until it is, by the same release', async () => {
    await killNow()
    const tries = async () => Number((await machine.inside(`stat -c %s ${notNow}`)).stdout)
    // More than the starts after which a release is left.
    await until('it was tried often', async () => (await tries()) > 5, { withinMs: 60_000 })
    await machine.inside(`rm ${notNow}`)
    await runs('1.1.0')
    expect([await link('current'), await link('previous')]).toEqual(['releases/1.1.0', 'releases/1.0.0'])
  })

  test('`systemctl stop` ends these tries', async () => {
    await killNow()
    const again = () => machine.property('samovar-again', 'ActiveState')
    await until('it waits', async () => (await again()) === 'activating', { withinMs: 30_000 })
    await machine.inside('systemctl stop samovar')
    await until('nobody waits', async () => (await again()) === 'inactive', { withinMs: 30_000 })
    await machine.inside(`rm ${notNow}`)
    expect(await machine.property('samovar', 'ActiveState')).toMatch(/^(inactive|failed)$/)
    await machine.inside('systemctl start samovar')
    await runs('1.1.0')
  })

  test('a release that ends at once goes, the one before runs, and the unit tells with 3', async () => {
    const started = await update({ version: '1.2.0', behaviour: 'ends at once' })
    expect(started.exitCode).not.toBe(0)
    expect(await machine.property('samovar-update@1.2.0', 'ExecMainStatus')).toBe('3')
    await runs('1.1.0')
    expect(await machine.property('samovar', 'ActiveState')).toBe('active')
    expect([await link('current'), await link('previous')]).toEqual(['releases/1.1.0', 'releases/1.0.0'])
  })

  test('an updater that is killed goes on by itself', async () => {
    const killed = update({ version: '1.3.0', behaviour: 'slow' })
    await until('the link is set', async () => (await link('current')) === 'releases/1.3.0', {
      withinMs: 30_000,
    })
    await machine.inside('systemctl kill --signal=SIGKILL samovar-update@1.3.0')
    await killed
    await runs('1.3.0')
    await until(
      'it is kept',
      async () => /"kept"/.test((await machine.inside('cat /opt/samovar/update.json')).stdout),
      {
        withinMs: 60_000,
      },
    )
  })

  test('work that hangs is ended by the watchdog, and started anew', async () => {
    await update({ version: '1.4.0' })
    await machine.inside('systemctl reset-failed samovar')
    const restarts = async () => Number(await machine.property('samovar', 'NRestarts'))
    const before = await machine.property('samovar', 'MainPID')
    const began = Date.now()
    // More than twice the time of the watchdog: it hears of it.
    await until('it runs for a while', () => Date.now() - began > 7_000, { withinMs: 10_000 })
    expect([await restarts(), await machine.property('samovar', 'MainPID')]).toEqual([0, before])
    await machine.inside('touch /var/lib/samovar/hang')
    await until('it was started anew', async () => (await restarts()) > 0, { withinMs: 60_000 })
    await machine.inside('rm /var/lib/samovar/hang')
    await runs('1.4.0')
    expect(await machine.property('samovar', 'MainPID')).not.toBe(before)
  })

  test('restarts by hand, however many, do not lead back to the release before', async () => {
    await machine.inside('systemctl reset-failed samovar')
    let refused = 0
    for (let time = 0; time < 7; time += 1)
      refused += (await machine.inside('systemctl restart samovar')).exitCode === 0 ? 0 : 1
    expect(refused).toBeGreaterThan(0)
    await runs('1.4.0')
    await until(
      'nothing is under way',
      async () => (await machine.property('samovar-back', 'ActiveState')) !== 'activating',
      {
        withinMs: 30_000,
      },
    )
    expect(await link('current')).toBe('releases/1.4.0')
  })

  test('a release that crashes again and again goes back to the one before, once', async () => {
    await machine.inside('systemctl reset-failed samovar; touch /var/lib/samovar/crash-1.4.0')
    await machine.inside('systemctl kill --signal=SIGKILL samovar')
    await runs('1.3.0', 60_000)
    await until(
      'it stays, and there is nothing more to go back to',
      async () => (await link('previous')) === '',
      {
        withinMs: 60_000,
      },
    )
    expect(await link('current')).toBe('releases/1.3.0')
    await machine.inside('systemctl reset-failed samovar; touch /var/lib/samovar/crash-1.3.0')
    await machine.inside('systemctl kill --signal=SIGKILL samovar')
    await until(
      'it failed for good',
      async () => (await machine.property('samovar', 'ActiveState')) === 'failed',
      {
        withinMs: 60_000,
      },
    )
    expect(await link('current')).toBe('releases/1.3.0')
  })
})
