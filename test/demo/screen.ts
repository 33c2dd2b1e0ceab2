import { styleText } from 'node:util'
import type { Figures } from './probe.ts'

type Style = Parameters<typeof styleText>[0]

/** Colours only on a terminal, and not with NO_COLOR. */
const styled = (style: Style, text: string): string => styleText(style, text, { stream: process.stdout })

export type Screen = {
  /** The heading of an act. */
  act(title: string): void
  /** One thing that happened, with the seconds since the act began. */
  line(text: string): void
  /** One thing that was checked and is true. */
  good(text: string): void
  plain(text: string): void
}

export function makeScreen(): Screen {
  let acts = 0
  let began = performance.now()
  const clock = (): string =>
    styled('dim', `${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s`)
  return {
    act(title) {
      acts += 1
      began = performance.now()
      console.log(`\n${styled('bold', `${acts}. ${title}`)}`)
    },
    line: (text) => console.log(`${clock()}  ${text}`),
    good: (text) => console.log(`${clock()}  ${styled('green', 'ok')} ${text}`),
    plain: (text) => console.log(text),
  }
}

export type Row = Figures & {
  act: string
  result: string
  /** As Samovar measured and recorded it, milliseconds; null when nothing was replaced. */
  downtime: number | null
}

export const inSeconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

/** @returns lines: a heading and a line for each act, aligned */
export function figuresTable(rows: Row[]): string[] {
  const cells = [
    ['act', 'result', 'asked', 'failed', 'longest gap', 'downtime by history'],
    ...rows.map((row) => [
      row.act,
      row.result,
      String(row.asked),
      String(row.failed),
      inSeconds(row.longestGap),
      row.downtime === null ? '-' : inSeconds(row.downtime),
    ]),
  ]
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((line) => line[column]?.length ?? 0)),
  )
  return cells.map((line) =>
    line
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}
