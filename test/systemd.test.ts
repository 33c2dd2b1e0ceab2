import { describe, expect, test } from 'vitest'
import { openSystemd, type SystemdOptions } from '../reconciler/systemd.ts'
import { hasSystemdNotify, startNotifySocket } from './rig/notify-socket.ts'
import { until } from './rig/until.ts'

const options = (socket: string | null): SystemdOptions => ({
  socket,
  watchdogMs: null,
  environment: process.env,
  status: () => 'quiet',
  hangs: () => null,
  log: () => {},
})

describe.skipIf(!hasSystemdNotify)('what systemd is told', () => {
  test('ready with a status, and at the end that it stops', async () => {
    await using socket = await startNotifySocket()
    const systemd = openSystemd({ ...options(socket.path), status: () => 'commit 1a2b3c4d is in force' })
    systemd.ready()
    await until('it is ready', () => socket.fields().includes('READY=1'), { withinMs: 10_000 })
    expect(socket.messages()[0]).toEqual(['READY=1', 'STATUS=commit 1a2b3c4d is in force'])
    await systemd.stopping()
    await systemd.stopping()
    await until('it stops', () => socket.fields().includes('STOPPING=1'), { withinMs: 5_000 })
    expect(socket.fields().filter((field) => field === 'STOPPING=1')).toHaveLength(1)
  })

  test('the watchdog hears of it three times in its time, with what it does', async () => {
    await using socket = await startNotifySocket()
    let step = 1
    const systemd = openSystemd({
      ...options(socket.path),
      watchdogMs: 300,
      status: () => `gitea: step ${step++}`,
    })
    const pings = () => socket.messages().filter((fields) => fields.includes('WATCHDOG=1'))
    await until('five pings', () => pings().length >= 5, { withinMs: 10_000 })
    await systemd.stopping()
    expect(pings()[1]).toEqual(['STATUS=gitea: step 2', 'WATCHDOG=1'])
  })

  test('while the work hangs the watchdog hears nothing, and the log says why, once', async () => {
    await using socket = await startNotifySocket()
    let hangs: string | null = null
    const logged: string[] = []
    const systemd = openSystemd({
      ...options(socket.path),
      watchdogMs: 300,
      hangs: () => hangs,
      log: (line) => logged.push(line),
    })
    const pings = () => socket.fields().filter((field) => field === 'WATCHDOG=1').length
    const lateOnes = () => socket.fields().filter((field) => field.startsWith('STATUS=hangs: ')).length
    await until('a ping', () => pings() > 0, { withinMs: 10_000 })
    hangs = 'gitea: step set aside goes on for 31 min; it may take 30 min'
    await until('it is said', () => lateOnes() > 0, { withinMs: 10_000 })
    const before = pings()
    await until('it is said again', () => lateOnes() >= 4, { withinMs: 10_000 })
    expect(pings()).toBe(before)
    expect(logged).toEqual([
      expect.stringMatching(/^gitea: step set aside goes on for 31 min; .*starts Samovar anew$/),
    ])
    hangs = null
    await until('it pings again', () => pings() > before, { withinMs: 10_000 })
    await systemd.stopping()
  })

  test('text from outside cannot forge a field', async () => {
    await using socket = await startNotifySocket()
    const systemd = openSystemd({ ...options(socket.path), status: () => 'failed:\nMAINPID=1' })
    systemd.ready()
    await until('it is ready', () => socket.fields().includes('READY=1'), { withinMs: 10_000 })
    expect(socket.fields()).toContain('STATUS=failed: | MAINPID=1')
    await systemd.stopping()
  })

  test('a socket that nobody listens at is told in the log, once', async () => {
    const logged: string[] = []
    const systemd = openSystemd({
      ...options('/nonexistent/notify'),
      watchdogMs: 60,
      log: (line) => logged.push(line),
    })
    systemd.ready()
    await until('it is logged', () => logged.length > 0, { withinMs: 10_000 })
    await systemd.stopping()
    expect(logged).toHaveLength(1)
    expect(logged[0]).toMatch(/^systemd cannot be told how it goes: /)
  })
})

test('without systemd nothing is told to anybody', async () => {
  const systemd = openSystemd({
    ...options(null),
    status: () => {
      throw new Error('nobody asks')
    },
  })
  systemd.ready()
  await systemd.stopping()
})
