/** Durations and sizes as Compose prints them. */

const nanoseconds: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
}

/** Nanoseconds of a Go duration such as `1m30s`; Compose has checked the text already. */
export function nanosecondsOf(duration: string): number {
  let sum = 0
  for (const [, digits, unit] of duration.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    sum += Number(digits) * (nanoseconds[unit ?? ''] ?? 0)
  }
  return Math.round(sum)
}

/** Compose prints sizes as digits in quotes; newer versions as numbers. */
export function numberOf(value: number | string | undefined): number {
  return value === undefined ? 0 : Number(value)
}

/** A file mode: a number, or octal digits in quotes. */
export function modeOf(mode: number | string | undefined): number | undefined {
  if (mode === undefined) return undefined
  return typeof mode === 'number' ? mode : Number.parseInt(mode, 8)
}

/** Compose keeps CPU counts in 32-bit floats; the product is rounded as there, or 0.3 would not be the same. */
export function nanoCpusOf(cpus: number | string | undefined): number {
  return Math.trunc(Math.fround(Math.fround(numberOf(cpus)) * 1e9))
}

/** True when a version such as `1.41` is at least another; also for `2.26.1`. */
export function isAtLeast(version: string, wanted: string): boolean {
  const have = version.split('.').map((part) => Number.parseInt(part, 10) || 0)
  const want = wanted.split('.').map(Number)
  for (const [index, part] of want.entries()) {
    const difference = (have[index] ?? 0) - part
    if (difference !== 0) return difference > 0
  }
  return true
}
