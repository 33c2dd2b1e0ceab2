/** A cell that is painted after it was measured: colour codes have no width. */
export type Cell = { text: string; paint?: (text: string) => string }

/** Aligned columns, two spaces apart; the last one is not padded. */
export function table(heads: string[], rows: Cell[][]): string[] {
  const all = [heads.map((text): Cell => ({ text })), ...rows]
  const widths = heads.map((_, column) => Math.max(...all.map((row) => row[column]?.text.length ?? 0)))
  return all.map((row) =>
    row
      .map((cell, column) => {
        const padding = column === row.length - 1 ? '' : ' '.repeat((widths[column] ?? 0) - cell.text.length)
        return (cell.paint?.(cell.text) ?? cell.text) + padding
      })
      .join('  ')
      .trimEnd(),
  )
}
