import { CronExpressionParser } from 'cron-parser'

export type WindowRule = { opens: string; for: number }

/**
 * Whether a window is open at a moment, and when it opens next. Across a change to or from daylight saving time the
 * expression is read on the wall clock of the time zone (cron-parser's way).
 *
 * @param now milliseconds since 1970
 * @returns `opensAt` in milliseconds since 1970
 */
export function windowAt(
  rule: WindowRule,
  timezone: string,
  now: number,
): { open: boolean; opensAt: number } {
  const from = { tz: timezone, currentDate: new Date(now + 1) }
  const lastOpening = CronExpressionParser.parse(rule.opens, from).prev().getTime()
  const opensAt = CronExpressionParser.parse(rule.opens, from).next().getTime()
  return { open: now < lastOpening + rule.for, opensAt }
}
