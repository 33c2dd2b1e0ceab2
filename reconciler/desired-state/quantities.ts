/** Milliseconds of each unit, largest first: the order in which a duration must name them. */
const durationUnits = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const

/** Longer than any wait that makes sense here, and small enough to stay an exact number. */
const longestDuration = 3_650 * durationUnits.d

const sizeUnits = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const

/**
 * Reads `90s`, `5m`, `1h30m`, `250ms`, `3d` or `0s`: whole numbers with a unit each, from large to small, every
 * unit at most once.
 * @returns milliseconds, or null when the text is no duration or longer than ten years
 */
export function parseDuration(text: string): number | null {
  const parts = /^(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?$/.exec(text)
  if (parts === null || text === '') return null
  const milliseconds = Object.values(durationUnits).reduce(
    (sum, unit, index) => sum + Number(parts[index + 1] ?? 0) * unit,
    0,
  )
  return milliseconds <= longestDuration ? milliseconds : null
}

/**
 * Reads `500MiB`, `2GB`, `10B`: a whole number with a unit, decimal (KB, MB, GB, TB) or binary (KiB, MiB, GiB, TiB).
 * @returns bytes, or null when the text is no size or too large to count exactly
 */
export function parseSize(text: string): number | null {
  const parts = /^(\d{1,15})([KMGT]i?B|B)$/.exec(text)
  if (parts === null) return null
  const bytes = Number(parts[1]) * sizeUnits[parts[2] as keyof typeof sizeUnits]
  return Number.isSafeInteger(bytes) ? bytes : null
}
