import type { BackupClass } from '../backup/manifest.ts'
import type { Retention } from '../desired-state.ts'
import { offsetAt } from './windows.ts'

export type RetainedBackup = {
  id: string
  services: string[]
  class: BackupClass
  /** When it was begun, milliseconds since 1970. */
  createdAt: number
  /** Complete, and nobody found it damaged. */
  good: boolean
}

export type RetentionFacts = {
  /** Milliseconds since 1970. */
  now: number
  /** IANA time zone in which days begin. */
  timezone: string
  /** Backup -> why it must stay: an unfinished operation or a quarantine refers to it. */
  protected: ReadonlyMap<string, string>
}

/** `reasons`: why it stays, or why it goes; never empty. */
export type Judgement = { id: string; keep: boolean; reasons: string[] }

const day = 86_400_000

/**
 * Which backups of one store stay and which go, with reasons. The rules are restic's: natural boundaries of the
 * calendar (weeks begin on Monday), only periods that have a backup count, what any rule keeps stays, and as long as
 * a rule has room the oldest one stays too.
 *
 * Backups of the same services are judged together, whatever they were taken for: one of `gitea` does not make one of
 * `wiki` obsolete. Only those `before-restore` are judged by themselves, so that somebody who tries one restore after
 * the other pushes nothing out.
 *
 * Always kept: everything when there is no policy, the newest good one, what is protected, what is dated in the
 * future (a clock was wrong; it takes nobody's place either). A damaged or incomplete one takes no place, and goes
 * when it is a day old and a newer good one is there.
 *
 * @returns in the order of `backups`
 */
export function retain(
  backups: RetainedBackup[],
  policy: Retention | null,
  facts: RetentionFacts,
): Judgement[] {
  const rules = policy === null ? [] : rulesOf(policy)
  const reasons = new Map<string, string[]>()
  if (rules.length === 0) for (const { id } of backups) reasons.set(id, ['no `keep` is set: all stay'])
  else
    for (const group of Map.groupBy(backups, groupOf).values())
      for (const [id, why] of keptOf(group, rules, facts)) reasons.set(id, why)
  return backups.map((backup) => {
    const why = reasons.get(backup.id) ?? []
    if (why.length > 0) return { id: backup.id, keep: true, reasons: why }
    const reason = backup.good ? 'no rule keeps it' : 'not whole, and a newer one is'
    return { id: backup.id, keep: false, reasons: [reason] }
  })
}

const groupOf = (backup: RetainedBackup): string =>
  JSON.stringify([backup.class === 'before-restore', backup.services.toSorted()])

function keptOf(group: RetainedBackup[], rules: Rule[], facts: RetentionFacts): Map<string, string[]> {
  const kept = new Map<string, string[]>()
  const keep = (backup: RetainedBackup, reason: string) =>
    void kept.set(backup.id, [...(kept.get(backup.id) ?? []), reason])
  const newestFirst = group.toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
  const past = newestFirst.filter((each) => each.createdAt <= facts.now)
  const good = past.filter((each) => each.good)
  for (const rule of rules) for (const [backup, reason] of keptBy(rule, good, facts)) keep(backup, reason)
  const [newest] = good
  if (newest !== undefined) keep(newest, 'the newest good one')
  for (const backup of newestFirst) {
    const why = facts.protected.get(backup.id)
    if (why !== undefined) keep(backup, why)
    if (backup.createdAt > facts.now) keep(backup, 'dated in the future')
    else if (!backup.good && facts.now - backup.createdAt < day) keep(backup, 'not whole, but not a day old')
    else if (!backup.good && (newest === undefined || newest.createdAt < backup.createdAt))
      keep(backup, 'not whole, but no newer one is')
  }
  return kept
}

type Rule = {
  name: keyof Retention
  count: number
  /** The period a moment of the wall clock is in; null: each backup is one. */
  period: ((wall: Date) => string) | null
}

const periods: Record<keyof Retention, Rule['period']> = {
  last: null,
  hourly: (wall) => `${wall.toISOString().slice(0, 13).replace('T', ' ')}:00`,
  daily: (wall) => wall.toISOString().slice(0, 10),
  weekly: weekOf,
  monthly: (wall) => wall.toISOString().slice(0, 7),
  yearly: (wall) => wall.toISOString().slice(0, 4),
}

function rulesOf(policy: Retention): Rule[] {
  return (Object.keys(periods) as (keyof Retention)[])
    .map((name) => ({ name, count: policy[name] ?? 0, period: periods[name] }))
    .filter((rule) => rule.count > 0)
}

/** What one rule keeps: the newest backup of each period, until its count is used up. */
function keptBy(
  { name, count, period }: Rule,
  newestFirst: RetainedBackup[],
  { timezone }: RetentionFacts,
): [RetainedBackup, string][] {
  const kept: [RetainedBackup, string][] = []
  const seen = new Set<string>()
  for (const backup of newestFirst) {
    if (kept.length === count) return kept
    const wall = new Date(backup.createdAt + offsetAt(backup.createdAt, timezone))
    const when = period === null ? backup.id : period(wall)
    if (seen.has(when)) continue
    seen.add(when)
    kept.push([backup, period === null ? `${name} ${kept.length + 1} of ${count}` : `${name} ${when}`])
  }
  const oldest = newestFirst.at(-1)
  // As restic does: while a rule is not used up, the history reaches back as far as it can.
  if (oldest !== undefined && kept.length < count && kept.at(-1)?.[0] !== oldest)
    kept.push([oldest, `the oldest, ${name} has room`])
  return kept
}

/** `2026-W53`: the ISO week, which belongs to the year of its Thursday. */
function weekOf(wall: Date): string {
  const monday = (wall.getUTCDay() + 6) % 7
  const thursday = new Date(wall.getTime() + (3 - monday) * day)
  const year = thursday.getUTCFullYear()
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * day)) + 1
  return `${year}-W${String(week).padStart(2, '0')}`
}
