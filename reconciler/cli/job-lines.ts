import type { JobStatus } from '../job-status.ts'
import type { Operation } from '../journal/operation.ts'
import { type Console, printable } from './console.ts'
import { type Cell, table } from './table.ts'
import { ago, clockTime, sentenceAndNext, spent } from './wording.ts'

/** How a run ended, with the next step when it failed. */
export function jobEndLines(console: Console, operation: Operation): string[] {
  const { result, reason, startedAt, finishedAt, intent, id } = operation
  const name = intent.job?.name ?? operation.service
  const took = finishedAt === null ? '' : ` after ${spent(finishedAt - startedAt)}`
  const { sentence, next } = sentenceAndNext(reason)
  const good = result === 'applied'
  const words = good ? console.paint('green', 'succeeded') : console.paint('red', 'failed')
  const lines = [`job ${name}: ${words}${took}`]
  if (sentence !== '') lines.push(`  ${printable(sentence)}`)
  if (!good) lines.push(`  next: ${printable(next ?? `samovar show ${id}, then samovar job ${name}`)}`)
  return lines
}

/** A table of jobs: when, and how it went the last time. */
export function jobsTable(console: Console, jobs: JobStatus[], now: number): string[] {
  const lines = table(
    ['JOB', 'SERVICE', 'SCHEDULE', 'NEXT', 'LAST', 'RESULT', 'TOOK'],
    jobs.map((job) => [
      { text: job.name },
      { text: job.service },
      { text: job.schedule },
      { text: job.held === null ? clockTime(job.next) : 'held' },
      { text: job.last === null ? 'never' : ago(job.last.startedAt, now) },
      resultOf(console, job),
      { text: job.last?.ms == null ? '' : spent(job.last.ms) },
    ]),
  )
  return lines.flatMap((line, at) => [line, ...moreOf(console, jobs[at - 1])])
}

function resultOf(console: Console, { last }: JobStatus): Cell {
  switch (last?.result) {
    case undefined:
      return { text: '' }
    case 'applied':
      return { text: 'succeeded', paint: (text) => console.paint('green', text) }
    case 'running':
      return { text: 'running', paint: (text) => console.paint('blue', text) }
    default:
      return { text: 'failed', paint: (text) => console.paint('red', text) }
  }
}

/** What a person has to know beside the table. */
function moreOf(console: Console, job: JobStatus | undefined): string[] {
  if (job === undefined) return []
  const lines: string[] = []
  if (job.held !== null) {
    const { sentence, next } = sentenceAndNext(job.held)
    lines.push(`  ${console.paint('dim', printable(sentence))}`)
    if (next !== null) lines.push(`  next: ${next}`)
  }
  if (job.last === null || job.last.result === 'applied' || job.last.result === 'running') return lines
  const { sentence, next } = sentenceAndNext(job.last.reason)
  lines.push(`  ${console.paint('dim', printable(sentence))}`)
  lines.push(
    `  next: ${printable(next ?? `samovar show ${job.last.operation}, then samovar job ${job.name}`)}`,
  )
  return lines
}
