import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Retention } from '../../reconciler/desired-state.ts'
import { type RetainedBackup, type RetentionFacts, retain } from '../../reconciler/plan/retention.ts'

const hour = 3_600_000
const day = 24 * hour
const berlin = 'Europe/Berlin'
const at = (text: string) => Date.parse(text)

/** A scheduled, good backup of gitea, called by when it was taken. */
const backup = (when: string, other: Partial<RetainedBackup> = {}): RetainedBackup => ({
  id: when,
  services: ['gitea'],
  class: 'scheduled',
  createdAt: at(when),
  good: true,
  ...other,
})

const facts = (now: string, other: Partial<RetentionFacts> = {}): RetentionFacts => ({
  now: at(now),
  timezone: berlin,
  protected: new Map(),
  ...other,
})

/** `id: reason, reason` of what stays. */
function kept(backups: RetainedBackup[], policy: Retention | null, about: RetentionFacts): string[] {
  return retain(backups, policy, about)
    .filter((each) => each.keep)
    .map(({ id, reasons }) => `${id}: ${reasons.join(', ')}`)
}

describe('worked examples', () => {
  test('the newest backup of each day that has one stays, and days begin in the zone of the host', () => {
    const backups = [
      backup('2026-11-22T01:00:00Z'),
      // Midnight in Berlin is 23:00 UTC.
      backup('2026-11-21T23:30:00Z'),
      backup('2026-11-21T22:30:00Z'),
      backup('2026-11-21T01:00:00Z'),
      // The machine was off for a week: the days without a backup are not counted.
      backup('2026-11-13T01:00:00Z'),
      backup('2026-11-12T01:00:00Z'),
    ]
    expect(kept(backups, { daily: 3 }, facts('2026-11-22T12:00:00Z'))).toEqual([
      '2026-11-22T01:00:00Z: daily 2026-11-22, the newest good one',
      '2026-11-21T22:30:00Z: daily 2026-11-21',
      '2026-11-13T01:00:00Z: daily 2026-11-13',
    ])
  })

  test('what any rule keeps stays, with all its reasons', () => {
    const backups = Array.from({ length: 40 }, (_, index) =>
      backup(new Date(at('2026-11-22T02:00:00Z') - index * day).toISOString()),
    )
    expect(kept(backups, { last: 2, weekly: 2, monthly: 3 }, facts('2026-11-22T12:00:00Z'))).toEqual([
      '2026-11-22T02:00:00.000Z: last 1 of 2, weekly 2026-W47, monthly 2026-11, the newest good one',
      '2026-11-21T02:00:00.000Z: last 2 of 2',
      '2026-11-15T02:00:00.000Z: weekly 2026-W46',
      '2026-10-31T02:00:00.000Z: monthly 2026-10',
      '2026-10-14T02:00:00.000Z: the oldest, monthly has room',
    ])
  })

  test('weeks are ISO weeks: they begin on Monday, and the 53rd goes over the turn of the year', () => {
    const backups = [
      backup('2027-01-04T12:00:00Z'),
      backup('2027-01-03T12:00:00Z'),
      backup('2026-12-31T12:00:00Z'),
      backup('2026-12-28T12:00:00Z'),
      backup('2026-12-27T12:00:00Z'),
      backup('2026-12-20T12:00:00Z'),
    ]
    expect(kept(backups, { weekly: 3, yearly: 1 }, facts('2027-01-04T13:00:00Z'))).toEqual([
      '2027-01-04T12:00:00Z: weekly 2027-W01, yearly 2027, the newest good one',
      '2027-01-03T12:00:00Z: weekly 2026-W53',
      '2026-12-27T12:00:00Z: weekly 2026-W52',
    ])
  })

  test('a year ends at midnight of the host, not of Greenwich', () => {
    const backups = [
      backup('2026-12-31T23:30:00Z'),
      backup('2026-12-31T22:30:00Z'),
      backup('2026-06-01T00:00:00Z'),
    ]
    expect(kept(backups, { yearly: 2, monthly: 1 }, facts('2027-01-01T12:00:00Z'))).toEqual([
      '2026-12-31T23:30:00Z: monthly 2027-01, yearly 2027, the newest good one',
      '2026-12-31T22:30:00Z: yearly 2026',
    ])
  })

  test('the hour that comes twice in autumn is one hour, the one that is left out in spring is none', () => {
    const autumn = ['2026-10-25T02:30:00+01:00', '2026-10-25T02:30:00+02:00', '2026-10-25T01:30:00+02:00']
    expect(
      kept(
        autumn.map((each) => backup(each)),
        { hourly: 2 },
        facts('2026-10-25T12:00:00Z'),
      ),
    ).toEqual([
      '2026-10-25T02:30:00+01:00: hourly 2026-10-25 02:00, the newest good one',
      '2026-10-25T01:30:00+02:00: hourly 2026-10-25 01:00',
    ])
    const spring = ['2026-03-29T03:10:00+02:00', '2026-03-29T01:50:00+01:00', '2026-03-29T01:10:00+01:00']
    expect(
      kept(
        spring.map((each) => backup(each)),
        { hourly: 2 },
        facts('2026-03-29T12:00:00Z'),
      ),
    ).toEqual([
      '2026-03-29T03:10:00+02:00: hourly 2026-03-29 03:00, the newest good one',
      '2026-03-29T01:50:00+01:00: hourly 2026-03-29 01:00',
    ])
  })

  test('a day of 23 or 25 hours is one day', () => {
    for (const [first, last, name] of [
      ['2026-10-25T00:10:00+02:00', '2026-10-25T23:50:00+01:00', '2026-10-25'],
      ['2026-03-29T00:10:00+01:00', '2026-03-29T23:50:00+02:00', '2026-03-29'],
    ] as const) {
      const before = backup(new Date(at(first) - hour).toISOString())
      const backups = [backup(last), backup(first), before]
      expect(kept(backups, { daily: 2 }, facts('2026-12-01T00:00:00Z'))).toEqual([
        `${last}: daily ${name}, the newest good one`,
        expect.stringContaining(`${before.id}: daily`),
      ])
    }
  })
})

describe('what no policy removes', () => {
  const now = facts('2026-11-22T12:00:00Z')
  const backups = [
    backup('2026-11-22T02:00:00Z'),
    backup('2026-11-21T02:00:00Z'),
    backup('2026-11-20T02:00:00Z'),
  ]

  test.each([[null], [{}], [{ last: 0 }]])('nothing goes without a rule: %j', (policy) => {
    expect(retain(backups, policy, now).every((each) => each.keep)).toBe(true)
    const damaged = [backup('2020-01-01T00:00:00Z', { good: false }), ...backups]
    expect(retain(damaged, policy, now).every((each) => each.keep)).toBe(true)
  })

  test('the newest good one stays when everything newer is damaged', () => {
    const damaged = backups.map((each, index) => ({ ...each, good: index === 2 }))
    expect(kept(damaged, { last: 1 }, now)).toEqual([
      '2026-11-22T02:00:00Z: not whole, but not a day old',
      '2026-11-21T02:00:00Z: not whole, but no newer one is',
      '2026-11-20T02:00:00Z: last 1 of 1, the newest good one',
    ])
  })

  test("a damaged one takes nobody's place, and goes when it is a day old and a newer good one is there", () => {
    const damaged = backup('2026-11-21T12:00:01Z', { good: false })
    const older = backup('2026-11-21T11:59:59Z', { good: false })
    expect(kept([...backups, damaged, older], { last: 2 }, now)).toEqual([
      '2026-11-22T02:00:00Z: last 1 of 2, the newest good one',
      '2026-11-21T02:00:00Z: last 2 of 2',
      '2026-11-21T12:00:01Z: not whole, but not a day old',
    ])
    const gone = retain([...backups, older], { last: 2 }, now).at(-1)
    expect(gone).toMatchObject({ keep: false, reasons: ['not whole, and a newer one is'] })
  })

  test('what a quarantine or an unfinished operation refers to stays, good or not', () => {
    const reasons = new Map([
      ['2026-11-20T02:00:00Z', 'the quarantine of gitea refers to it'],
      ['2026-11-19T02:00:00Z', 'operation x is not finished'],
    ])
    const all = [...backups, backup('2026-11-19T02:00:00Z', { good: false })]
    expect(kept(all, { last: 1 }, { ...now, protected: reasons })).toEqual([
      '2026-11-22T02:00:00Z: last 1 of 1, the newest good one',
      '2026-11-20T02:00:00Z: the quarantine of gitea refers to it',
      '2026-11-19T02:00:00Z: operation x is not finished',
    ])
  })

  test("what is dated in the future stays and takes nobody's place", () => {
    const future = [backup('2027-01-01T00:00:00Z'), backup('2027-01-02T00:00:00Z', { good: false })]
    expect(kept([...future, ...backups], { last: 1 }, now)).toEqual([
      '2027-01-01T00:00:00Z: dated in the future',
      '2027-01-02T00:00:00Z: dated in the future',
      '2026-11-22T02:00:00Z: last 1 of 1, the newest good one',
    ])
  })
})

describe('what is judged together', () => {
  const now = facts('2026-11-22T12:00:00Z')

  test('a backup of one service makes none of another obsolete', () => {
    const backups = [
      backup('2026-11-22T03:00:00Z', { services: ['wiki'] }),
      backup('2026-11-22T02:00:00Z', { services: ['gitea', 'postgres'] }),
      backup('2026-11-22T01:00:00Z', { services: ['postgres', 'gitea'] }),
    ]
    expect(kept(backups, { last: 1 }, now)).toEqual([
      '2026-11-22T03:00:00Z: last 1 of 1, the newest good one',
      '2026-11-22T02:00:00Z: last 1 of 1, the newest good one',
    ])
  })

  test('one before an update counts as one by the schedule does', () => {
    const backups = [
      backup('2026-11-22T03:00:00Z', { class: 'before-update' }),
      backup('2026-11-22T02:00:00Z'),
      backup('2026-11-21T02:00:00Z', { class: 'manual' }),
    ]
    expect(kept(backups, { daily: 2 }, now).map((line) => line.slice(0, 20))).toEqual([
      '2026-11-22T03:00:00Z',
      '2026-11-21T02:00:00Z',
    ])
  })

  test('somebody who tries one restore after the other pushes no backup out', () => {
    const tries = Array.from({ length: 5 }, (_, index) =>
      backup(`2026-11-22T0${9 - index}:00:00Z`, { class: 'before-restore' }),
    )
    const stays = kept(
      [...tries, backup('2026-11-22T02:00:00Z'), backup('2026-11-21T02:00:00Z')],
      { last: 2 },
      now,
    )
    expect(stays.map((line) => line.slice(0, 20))).toEqual([
      '2026-11-22T09:00:00Z',
      '2026-11-22T08:00:00Z',
      '2026-11-22T02:00:00Z',
      '2026-11-21T02:00:00Z',
    ])
  })
})

describe('whatever the backups and the policy', () => {
  const now = at('2026-11-22T12:00:00Z')
  const zones = fc.constantFrom('UTC', berlin, 'America/Santiago', 'Australia/Lord_Howe', 'Antarctica/Troll')
  const lists = fc.uniqueArray(
    fc.record({
      ago: fc.oneof(
        fc.integer({ min: -30, max: 3 * 24 * 60 }),
        fc.integer({ min: 0, max: 5 * 365 * 24 * 60 }),
      ),
      good: fc.boolean(),
      services: fc.constantFrom(['gitea'], ['wiki'], ['gitea', 'postgres']),
      class: fc.constantFrom('scheduled' as const, 'before-update' as const, 'before-restore' as const),
    }),
    { maxLength: 40, selector: (each) => each.ago },
  )
  const backupsOf = (
    list: { ago: number; good: boolean; services: readonly string[]; class: RetainedBackup['class'] }[],
  ) =>
    list.map(({ ago, services, ...rest }): RetainedBackup => {
      const createdAt = now - ago * 60_000
      return { ...rest, services: [...services], createdAt, id: new Date(createdAt).toISOString() }
    })
  const counts = fc.record(
    Object.fromEntries(
      ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'].map((name) => [
        name,
        fc.integer({ min: 1, max: 9 }),
      ]),
    ),
    { requiredKeys: [] },
  ) as fc.Arbitrary<Retention>
  const protectedOnes = fc.array(fc.nat(39), { maxLength: 3 })
  const some = fc.tuple(lists, counts, zones, protectedOnes).map(([list, policy, timezone, at_]) => {
    const backups = backupsOf(list)
    const names = at_.flatMap((index) => backups[index]?.id ?? [])
    const about = { now, timezone, protected: new Map(names.map((id) => [id, 'needed'])) }
    return { backups, policy, about }
  })
  const keptIds = (backups: RetainedBackup[], policy: Retention | null, about: RetentionFacts) =>
    new Set(
      retain(backups, policy, about)
        .filter((each) => each.keep)
        .map((each) => each.id),
    )

  test('the newest good backup of each set of services stays', () => {
    fc.assert(
      fc.property(some, ({ backups, policy, about }) => {
        const stays = keptIds(backups, policy, about)
        for (const group of Map.groupBy(backups, (each) => each.services.join()).values()) {
          const good = group.filter((each) => each.good && each.createdAt <= now)
          const [newest] = good.toSorted((a, b) => b.createdAt - a.createdAt)
          if (newest !== undefined) expect(stays).toContain(newest.id)
        }
      }),
    )
  })

  test('every judgement has a reason, and there is one for each backup, in order', () => {
    fc.assert(
      fc.property(some, ({ backups, policy, about }) => {
        const judged = retain(backups, policy, about)
        expect(judged.map((each) => each.id)).toEqual(backups.map((each) => each.id))
        for (const { reasons } of judged) expect(reasons.join('')).not.toBe('')
      }),
    )
  })

  test('once what goes is gone, a second run removes nothing', () => {
    fc.assert(
      fc.property(some, ({ backups, policy, about }) => {
        const stays = keptIds(backups, policy, about)
        const left = backups.filter((each) => stays.has(each.id))
        expect(keptIds(left, policy, about)).toEqual(stays)
      }),
    )
  })

  test('a policy that keeps more of anything keeps no less', () => {
    fc.assert(
      fc.property(some, counts, ({ backups, policy, about }, more) => {
        fc.pre(Object.keys(policy).length > 0)
        const larger: Retention = { ...policy }
        for (const name of Object.keys(more) as (keyof Retention)[])
          larger[name] = (policy[name] ?? 0) + (more[name] ?? 0)
        const stays = keptIds(backups, larger, about)
        for (const id of keptIds(backups, policy, about)) expect(stays).toContain(id)
      }),
    )
  })

  test('backups that cannot be seen at the moment make no other one go', () => {
    fc.assert(
      fc.property(some, fc.array(fc.nat(39)), ({ backups, policy, about }, hidden) => {
        const seen = backups.filter((_, index) => !hidden.includes(index))
        const stays = keptIds(seen, policy, about)
        for (const id of keptIds(backups, policy, about))
          if (seen.some((each) => each.id === id)) expect(stays).toContain(id)
      }),
    )
  })

  test('nothing goes that is protected, dated in the future, or judged without a policy', () => {
    fc.assert(
      fc.property(some, ({ backups, policy, about }) => {
        const stays = keptIds(backups, policy, about)
        for (const id of about.protected.keys()) expect(stays).toContain(id)
        for (const each of backups) if (each.createdAt > now) expect(stays).toContain(each.id)
        expect(keptIds(backups, null, about).size).toBe(backups.length)
      }),
    )
  })
})
