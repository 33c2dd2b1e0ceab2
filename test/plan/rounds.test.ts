import { describe, expect, test } from 'vitest'
import {
  judgeRounds,
  type LastRound,
  momentAfter,
  momentBefore,
  type Schedule,
} from '../../reconciler/plan/rounds.ts'

const nightly: Schedule = { expression: '0 2 * * *', timezone: 'Europe/Berlin' }
const at = (iso: string): number => Date.parse(iso)
const night = (day: string): number => at(`2026-11-${day}T01:00:00Z`)

const judge = (
  now: number,
  last: Partial<LastRound> | null,
  schedule: Schedule | null = nightly,
): { verdict: string; dueAt: string }[] => {
  const before = new Map<string, LastRound>()
  if (last !== null) before.set('backup', { dueAt: night('22'), schedule: nightly, cut: false, ...last })
  return judgeRounds({ backup: schedule, verify: null }, before, now).map(({ verdict, dueAt }) => ({
    verdict,
    dueAt: new Date(dueAt).toISOString(),
  }))
}

describe('what is due', () => {
  test('a moment of the schedule is done once, from the moment on', () => {
    expect(judge(night('23') - 1, {})).toEqual([])
    expect(judge(night('23'), {})).toEqual([{ verdict: 'due', dueAt: '2026-11-23T01:00:00.000Z' }])
    expect(judge(night('23') + 60_000, { dueAt: night('23') })).toEqual([])
  })

  test('three nights without power are made up once', () => {
    const now = at('2026-11-25T11:00:00Z')
    expect(judge(now, {})).toEqual([{ verdict: 'due', dueAt: '2026-11-25T01:00:00.000Z' }])
    expect(judge(now, { dueAt: night('25') })).toEqual([])
  })

  test('a schedule that was never seen begins with its next moment', () => {
    const now = at('2026-11-23T11:00:00Z')
    expect(judge(now, null)).toEqual([{ verdict: 'new', dueAt: '2026-11-23T01:00:00.000Z' }])
    expect(judge(now, { dueAt: night('23') })).toEqual([])
    expect(judge(night('24'), { dueAt: night('23') })).toMatchObject([{ verdict: 'due' }])
  })

  test('one that was cut is made up, once', () => {
    const now = night('23') + 60_000
    expect(judge(now, { dueAt: night('23'), cut: true })).toEqual([
      { verdict: 'due', dueAt: '2026-11-23T01:00:00.000Z' },
    ])
    expect(judge(now, { dueAt: night('23'), cut: false })).toEqual([])
  })

  test('without a schedule nothing is due', () => {
    expect(judge(night('24'), {}, null)).toEqual([])
  })

  test('backup and verification have schedules of their own', () => {
    const weekly = { ...nightly, expression: '0 5 * * 0' }
    const sunday = at('2026-11-22T04:00:00Z')
    const last = new Map([
      ['backup', { dueAt: night('22'), schedule: nightly, cut: false }],
      ['verify', { dueAt: sunday - 7 * 86_400_000, schedule: weekly, cut: false }],
    ])
    expect(judgeRounds({ backup: nightly, verify: weekly }, last, sunday)).toEqual([
      { name: 'verify', verdict: 'due', dueAt: sunday, schedule: weekly },
    ])
  })
})

describe('jobs', () => {
  const renew = 'job renew' as const
  const weekly: Schedule = { ...nightly, expression: '30 3 * * 0' }
  const sunday = at('2026-11-22T02:30:00Z')

  test('have schedules of their own, and come after the backup that is due with them', () => {
    const last = new Map([
      ['backup', { dueAt: night('21'), schedule: nightly, cut: false }],
      [renew, { dueAt: sunday - 7 * 86_400_000, schedule: weekly, cut: false }],
    ])
    const due = judgeRounds({ backup: nightly, verify: null, [renew]: weekly }, last, sunday)
    expect(due.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual(['backup due', 'job renew due'])
  })

  test('run once on the day the clock goes back, and on the day it goes forward', () => {
    const nightJob = { ...nightly, expression: '30 2 * * *' }
    const runs = (from: string, hours: number): string[] => {
      const done: string[] = []
      let dueAt = momentBefore(nightJob, at(from))
      for (let now = at(from); now < at(from) + hours * 3_600_000; now += 60_000) {
        const last = new Map([[renew, { dueAt, schedule: nightJob, cut: false }]])
        const [verdict] = judgeRounds({ [renew]: nightJob }, last, now)
        if (verdict === undefined) continue
        dueAt = verdict.dueAt
        done.push(new Date(now).toISOString())
      }
      return done
    }
    expect(runs('2026-10-24T12:00:00Z', 24)).toEqual(['2026-10-25T00:30:00.000Z'])
    expect(runs('2026-03-28T12:00:00Z', 24)).toEqual(['2026-03-29T01:00:00.000Z'])
  })

  test('the next moment is after now, also on the moment itself', () => {
    expect(momentAfter(weekly, sunday)).toBe(sunday + 7 * 86_400_000)
    expect(momentAfter(weekly, sunday - 1)).toBe(sunday)
  })
})

describe('a schedule that changes', () => {
  const noon: Schedule = { ...nightly, expression: '0 12 * * *' }
  const now = at('2026-11-22T11:30:00Z')

  test('waits for the next moment of the new one, though it has one behind it', () => {
    expect(judge(now, {}, noon)).toEqual([{ verdict: 'new', dueAt: '2026-11-22T11:00:00.000Z' }])
  })

  test('is the same when only its zone is another', () => {
    expect(judge(now, {}, { ...nightly, timezone: 'UTC' })).toMatchObject([{ verdict: 'new' }])
  })

  test('does not lose a moment of the old one that was missed', () => {
    expect(judge(now, { dueAt: night('21') }, noon)).toEqual([
      { verdict: 'due', dueAt: '2026-11-22T11:00:00.000Z' },
    ])
  })
})

describe('clocks', () => {
  test('in the hour that comes twice it is done once, in the hour that is left out it is done when it is over', () => {
    const schedule = { ...nightly, expression: '30 2 * * *' }
    const first = at('2026-10-25T00:30:00Z')
    expect(momentBefore(schedule, first)).toBe(first)
    expect(momentBefore(schedule, first + 3_600_000)).toBe(first)
    expect(momentBefore(schedule, at('2026-03-29T01:00:00Z'))).toBe(at('2026-03-29T01:00:00Z'))
    expect(judge(first + 3_600_000, { dueAt: first, schedule }, schedule)).toEqual([])
  })

  test('one that is set back by seconds does not do the same twice', () => {
    expect(judge(night('23') - 5_000, { dueAt: night('23') })).toEqual([])
  })

  test('one that was years ahead does not put backups off for years', () => {
    expect(judge(night('23') + 1, { dueAt: at('2038-01-01T01:00:00Z') })).toEqual([
      { verdict: 'new', dueAt: '2026-11-23T01:00:00.000Z' },
    ])
  })
})
