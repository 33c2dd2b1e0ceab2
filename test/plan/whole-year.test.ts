import { describe, expect, test } from 'vitest'
import { type Windows, whenToStart } from '../../reconciler/plan/when-to-start.ts'
import { stretchAt, type WindowRule, windowAt } from '../../reconciler/plan/windows.ts'
import { minute, nextOn, openingsOn, openOn, roomOn, wallClocks } from './wall-clock.ts'

const day = 24 * 60
const from = Date.UTC(2025, 10, 1)
/** The minutes of 2026, within a walk that begins before it and ends after it. */
const [first, last] = [61 * day, 61 * day + 365 * day]
const count = last + 140 * day
const at = (index: number) => from + index * minute
const told = (index: number) => (index === -1 ? 'never' : new Date(at(index)).toISOString())

const rules: [string, string, number][] = [
  ['on Sundays', '15 3 * * 0', 120],
  ['every night, in the hour that is left out in spring', '30 2 * * *', 30],
  ['every night, in the hour that comes twice in autumn', '30 1 * * *', 45],
  ['over midnight', '30 23 * * 6', 180],
  ['over the change of the clock', '0 1 * * *', 180],
  ['of days', '0 6 20 3,10 *', 16 * day],
  ['longer than the time between two openings', '0 4 * * 1-5', 30 * 60],
  ['every twenty minutes of a Sunday morning', '*/20 0-4 * * 0', 5],
]
const changes = {
  'Europe/Berlin': ['2026-03-29', '2026-10-25'],
  'America/New_York': ['2026-03-08', '2026-11-01'],
}

describe.each(Object.entries(changes))('the year 2026 in %s, minute by minute', (timezone, days) => {
  const walls = wallClocks({ from, count, timezone })

  test('the clock on the wall does what it does there: 23 hours on one day, 25 on another', () => {
    const lengths = days.map((date) => {
      const begin = Date.parse(`${date}T00:00:00Z`) / minute
      return walls.filter((wall) => wall >= begin && wall < begin + day).length
    })
    expect(lengths).toEqual([23 * 60, 25 * 60])
  })

  test.each(rules)(
    'a window %s is open when it should be, and opens next when it should',
    (_, opens, length) => {
      const rule: WindowRule = { opens, for: length * minute }
      const openings = openingsOn(walls, opens)
      const open = openOn(openings, length)
      const [next, closes] = [nextOn(openings), nextOn(open.map((each) => 1 - each))]
      const wrong: string[] = []
      for (let index = first; index < last; index += 1) {
        const seen = stretchAt(rule, timezone, at(index))
        const until = open[index] === 1 ? closes[index] : next[index + 1]
        if (seen.open !== (open[index] === 1) || seen.until !== at(until ?? -1))
          wrong.push(
            `${told(index)}: ${seen.open} until ${new Date(seen.until).toISOString()}, not ${told(until ?? -1)}`,
          )
      }
      expect(wrong.slice(0, 5)).toEqual([])
      for (let index = first; index < last; index += nearChange(index, days) ? 23 : 29 * 60 + 1) {
        const seen = windowAt(rule, timezone, at(index))
        if (seen.open !== (open[index] === 1) || seen.opensAt !== at(next[index + 1] ?? -1))
          wrong.push(`${told(index)}: ${JSON.stringify(seen)}`)
      }
      expect(wrong.slice(0, 5)).toEqual([])
    },
  )

  test.each([0, 45, 170])('what takes %i minutes starts at the first moment at which it fits', (takes) => {
    const nights = { opens: '0 1 * * *', for: 180 * minute }
    const exams = { opens: '0 12 24 * *', for: 2 * day * minute, kind: 'deny' as const }
    const early = { opens: '15 3 * * 1-3', for: 4 * 60 * minute, kind: 'deny' as const }
    const isOpen = ({ opens, for: length }: WindowRule) => openOn(openingsOn(walls, opens), length / minute)
    const [allowed, ...denied] = [isOpen(nights), isOpen(exams), isOpen(early)]
    const free = allowed.map((open, index) => (denied.some((each) => each[index] === 1) ? 0 : open))
    const starts = nextOn(roomOn(free, takes))
    const windows: Windows = {
      allow: [{ name: 'nights', rule: nights }],
      deny: [exams, early].map((rule, index) => ({ name: String(index), rule })),
      timezone,
    }
    const wrong: string[] = []
    for (let index = first; index < last; index += nearChange(index, days) ? 1 : 29) {
      const { at: seen } = whenToStart(windows, at(index), takes * minute)
      if (seen !== at(starts[index] ?? -1))
        wrong.push(
          `${told(index)}: ${seen === null ? seen : new Date(seen).toISOString()}, not ${told(starts[index] ?? -1)}`,
        )
    }
    expect(wrong.slice(0, 5)).toEqual([])
  })
})

const nearChange = (index: number, days: string[]): boolean =>
  days.some((date) => Math.abs(at(index) - Date.parse(`${date}T06:00:00Z`)) < 1.5 * day * minute)
