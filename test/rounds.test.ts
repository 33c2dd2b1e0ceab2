import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { hostOf } from '../reconciler/desired-state/policies.ts'
import type { Host } from '../reconciler/desired-state.ts'
import { alarmClock } from '../reconciler/rounds.ts'

const host = (backup: { schedule?: string; verify?: string } | null, timezone = 'UTC'): Host =>
  hostOf({
    name: 'git.example.com',
    project: 'gitea',
    compose: ['compose.yaml'],
    timezone,
    ...(backup !== null && { backup: { ...backup, stores: [{ file: '/backups' }] } }),
  })

/** An alarm clock, and what has rung since the last look. */
function listen() {
  const stopping = new AbortController()
  let rung: string[] = []
  const set = alarmClock((name) => void rung.push(name), stopping.signal)
  return {
    set,
    stop: () => stopping.abort(),
    async after(hours: number): Promise<string[]> {
      rung = []
      await vi.advanceTimersByTimeAsync(hours * 3_600_000)
      return rung
    },
  }
}

describe('the alarm clock', () => {
  beforeEach(() => void vi.useFakeTimers({ now: Date.parse('2026-11-22T20:00:00Z') }))
  afterEach(() => void vi.useRealTimers())

  test('rings at the moments of the schedules, in the time zone of the host', async () => {
    const clock = listen()
    clock.set(host({ schedule: '0 2 * * *', verify: '0 5 * * *' }, 'Asia/Tokyo'))
    // 02:00 in Tokyo is 17:00 UTC, 05:00 is 20:00 UTC.
    expect(await clock.after(16)).toEqual([])
    expect(await clock.after(6)).toEqual(['backup'])
    expect(await clock.after(3)).toEqual(['verify'])
    clock.stop()
  })

  test('follows a new commit, and is silent when schedules are gone', async () => {
    const clock = listen()
    clock.set(host({ schedule: '0 22 * * *' }))
    clock.set(host({ schedule: '0 23 * * *' }))
    expect(await clock.after(2.5)).toEqual([])
    expect(await clock.after(1)).toEqual(['backup'])
    clock.set(host(null))
    expect(await clock.after(48)).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
    clock.stop()
  })

  test('jobs ring too, each by its name', async () => {
    const clock = listen()
    const jobs = hostOf({
      name: 'git.example.com',
      project: 'gitea',
      compose: ['compose.yaml'],
      jobs: {
        renew: { schedule: '30 21 * * *', run: { service: 'certbot' } },
        tidy: { schedule: '30 22 * * *', run: { service: 'tidy' } },
      },
    })
    clock.set(jobs)
    expect(await clock.after(2)).toEqual(['job renew'])
    expect(await clock.after(1)).toEqual(['job tidy'])
    clock.stop()
  })

  test('does not keep the process alive when the daemon ends', async () => {
    const clock = listen()
    clock.set(host({ schedule: '0 2 * * *', verify: '0 5 * * 0' }))
    expect(vi.getTimerCount()).toBe(2)
    clock.stop()
    expect(vi.getTimerCount()).toBe(0)
    clock.set(host({ schedule: '0 3 * * *' }))
    expect(vi.getTimerCount()).toBe(0)
  })

  test('rings also for a moment that the machine slept through', async () => {
    const clock = listen()
    clock.set(host({ schedule: '0 2 * * *' }))
    vi.setSystemTime(Date.parse('2026-11-23T07:30:00Z'))
    expect(await clock.after(8)).toEqual(['backup'])
    clock.stop()
  })
})
