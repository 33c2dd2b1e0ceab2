import type { ImageReference } from './engine/engine.ts'

/** `40 ms`, `0.4 s`, `12 s`, `5 min 3 s`, `2 h 10 min`, `3 d 4 h`. */
export function spent(ms: number): string {
  if (ms < 100) return `${Math.round(ms)} ms`
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return pair(Math.floor(seconds / 60), 'min', seconds % 60, 's')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 2880) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'min')
  return pair(Math.floor(minutes / 1440), 'd', Math.floor((minutes % 1440) / 60), 'h')
}

const pair = (first: number, unit: string, second: number, small: string): string =>
  second === 0 ? `${first} ${unit}` : `${first} ${unit} ${second} ${small}`

/** `2026-11-22 03:15:02` in the time zone of the one who reads (TZ). */
export function clockTime(at: string | number): string {
  const time = new Date(at)
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
}

/** `1.22.6 (0123abcd)`: enough of the digest to tell two images with one tag apart. */
export function versionInWords(image: Pick<ImageReference, 'tag' | 'digest'> | null): string {
  if (image === null) return 'nothing'
  const digest = image.digest.replace('sha256:', '').slice(0, 8)
  if (image.tag === '' && digest === '') return 'unknown'
  return digest === '' ? image.tag : `${image.tag || 'unknown'} (${digest})`
}

/** What a container or a commit says must not steer a terminal. */
export const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, ' ')
