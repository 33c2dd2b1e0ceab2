import type { DataProgress } from '../backup/back-up.ts'
import type { PullProgress } from '../engine/engine.ts'
import { waitingWords } from '../health/waiting-words.ts'
import { isAboutData } from '../journal/data-records.ts'
import type { Operation, Step } from '../journal/operation.ts'
import type { Progress } from '../rollout/step.ts'
import { resultColours, whatInWords } from '../shown-operation.ts'
import { type Console, printable } from './console.ts'
import { dataEndLines } from './data-lines.ts'
import { jobEndLines } from './job-lines.ts'
import { bytes, sentenceAndNext, spent } from './wording.ts'

/** Longest name of a step, so that the times stand below each other. */
const nameWidth = 'check health again'.length

/** A step that has ended, on a line of its own. */
export function stepLine(console: Console, step: Pick<Step, 'name' | 'ms' | 'result' | 'detail'>): string {
  const line = `  ${step.name.padEnd(nameWidth)}  ${spent(step.ms ?? 0).padStart(8)}`
  if (step.result === 'done') return line
  const [first = ''] = step.detail.split('\n')
  return `${line}  ${console.paint('red', step.result)}: ${printable(first)}`
}

export const headLine = (console: Console, operation: Operation): string =>
  `${whatInWords(console, operation)} ${console.paint('dim', `(${operation.id})`)}`

/** How an operation ended, with its next step when it did not hold. */
export function endLines(console: Console, operation: Operation): string[] {
  const { service, result, reason, downtimeMs, startedAt, finishedAt } = operation
  if (result === 'running') return [`${service}: cut short; the next start goes on with it`]
  if (isAboutData(operation)) return dataEndLines(console, operation)
  if (operation.kind === 'job') return jobEndLines(console, operation)
  const took = finishedAt === null ? '' : ` after ${spent(finishedAt - startedAt)}`
  const down =
    downtimeMs === null || operation.from === null || result === 'untouched'
      ? ''
      : `, ${spent(downtimeMs)} of downtime`
  const lines = [`${service}: ${console.paint(resultColours[result], result)}${took}${down}`]
  const { sentence, next } = sentenceAndNext(reason)
  if (sentence !== '') lines.push(`  ${printable(sentence)}`)
  if (result === 'reverted')
    lines.push(
      `  next: push a fix, or samovar retry ${service}; samovar show ${operation.id} has its last log lines`,
    )
  if (result === 'stuck')
    lines.push(
      `  next: ${next ?? `look at it (samovar show ${operation.id}), then samovar retry ${service}`}`,
    )
  return lines
}

/**
 * What a roll-out does, on the screen: one line a step with its time, and on a terminal a last line that says what is
 * waited for now and for how long. Its `close` ends the ticking.
 */
export function screenProgress(console: Console): Progress & Disposable {
  let shown = ''
  let now: { service: string; step: string; began: number; more: string } | null = null
  let inWords = waitingWords()
  let pull: { began: number; from: number } | null = null
  let copy: { doing: string; began: number; from: number } | null = null
  const draw = () => {
    if (now !== null) console.live(liveLine(now.step, performance.now() - now.began, now.more))
  }
  const ticking = console.terminal ? setInterval(draw, 250) : undefined
  return {
    step(operation, name, phase, ms, detail) {
      if (shown !== operation.id) console.line(headLine(console, operation))
      shown = operation.id
      pull = null
      copy = null
      if (phase === 'begun') inWords = waitingWords()
      now =
        phase === 'begun'
          ? { service: operation.service, step: name, began: performance.now(), more: '' }
          : null
      if (phase === 'begun') draw()
      else console.line(stepLine(console, { name, ms, result: phase, detail }))
    },
    pull(_operation, seen) {
      pull ??= { began: performance.now(), from: seen.bytes }
      if (now !== null) now.more = pullInWords(seen, pull)
    },
    health(_operation, seen) {
      const words = inWords(seen)
      if (now !== null) now.more = words
    },
    data(_operation, seen) {
      if (copy === null || copy.doing !== seen.doing)
        copy = { doing: seen.doing, began: performance.now(), from: seen.bytes }
      if (now !== null) now.more = dataInWords(seen, copy)
    },
    [Symbol.dispose]: () => clearInterval(ticking),
  }
}

/** `check health 12 s, waiting for http https://git.example.com: HTTP 502`. */
export const liveLine = (step: string, ms: number, more: string): string =>
  `  ${step} ${spent(ms)}${more === '' ? '' : `, ${more}`}`

/** @param since when the pull was first heard of: what was here before says nothing about the rate */
export function pullInWords(seen: PullProgress, since: { began: number; from: number }): string {
  const seconds = (performance.now() - since.began) / 1000
  const rate = seconds < 0.5 ? '' : `, ${bytes((seen.bytes - since.from) / seconds)}/s`
  const of = seen.total > seen.bytes ? ` of ${bytes(seen.total)}` : ''
  return `pulling ${bytes(seen.bytes)}${of}${rate}, ${seen.layersDone} of ${seen.layers} layers`
}

/** `backing up gitea-data.tar.zst: 1.2 GB of about 5.0 GB, 84 MB/s, 45 s left`. */
export function dataInWords(seen: DataProgress, since: { began: number; from: number }): string {
  const seconds = (performance.now() - since.began) / 1000
  const perSecond = seconds < 0.5 ? 0 : (seen.bytes - since.from) / seconds
  const rate = perSecond > 0 ? `, ${bytes(perSecond)}/s` : ''
  const left = seen.total === null ? 0 : seen.total - seen.bytes
  const of = left > 0 ? ` of about ${bytes(seen.total ?? 0)}` : ''
  const leftMs = perSecond > 0 ? (left / perSecond) * 1000 : 0
  const until = leftMs >= 1000 ? `, ${spent(leftMs)} left` : ''
  return `${seen.doing} ${seen.part}: ${bytes(seen.bytes)}${of}${rate}${until}`
}
