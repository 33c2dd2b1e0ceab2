/** One benchmark's result: rows for people, the same values by name for programs. */
export type Figures = {
  name: string
  title: string
  rows: Row[]
  /** What the table does not say: how it was measured, in a sentence. */
  note: string
  values: Record<string, unknown>
}
export type Row = { what: string; is: string; goal?: string; met?: boolean }

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** `41.3 ms (38.0 to 60.1)`: the median and the range beside it, since the range says how noisy it was. */
export function spread(values: number[], unit = 'ms', digits = 1): string {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return `${median(values).toFixed(digits)} ${unit} (${low.toFixed(digits)} to ${high.toFixed(digits)})`
}

export function table({ title, rows, note }: Figures): string {
  const wide = Math.max(...rows.map((row) => row.what.length))
  const wideValue = Math.max(...rows.map((row) => row.is.length))
  const lines = rows.map(({ what, is, goal, met }) => {
    const verdict = met === undefined ? '' : met ? ', met' : ', NOT MET'
    return `  ${what.padEnd(wide)}  ${is.padEnd(wideValue)}  ${goal === undefined ? '' : `goal ${goal}${verdict}`}`.trimEnd()
  })
  return `${title}\n${lines.join('\n')}\n  ${note}\n`
}
