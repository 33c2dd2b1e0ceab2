import { backupOf } from './documents.ts'
import { SamovarError } from './errors.ts'
import { durationInWords } from './health/clock.ts'
import { isAboutData } from './journal/data-records.ts'
import type { Operation, OperationResult, Step } from './journal/operation.ts'
import { reasonInWords } from './status.ts'
import { clockTime, printable, spent, versionInWords } from './wording.ts'

/** A terminal, or a page that leaves the text as it is. */
export type Painter = {
  paint(colour: 'red' | 'green' | 'yellow' | 'blue' | 'dim' | 'bold', text: string): string
}

type Colour = Parameters<Painter['paint']>[0]

export const resultColours: Record<OperationResult, Colour> = {
  applied: 'green',
  untouched: 'yellow',
  reverted: 'red',
  stuck: 'red',
  running: 'blue',
}

/**
 * The operation a person means.
 *
 * @param text an id, or as much of its beginning or end as no other one has
 * @throws SamovarError `not-found` when there is none, or more than one
 */
export function operationNamed(
  journal: { operationsNamed(text: string): Operation[] },
  text: string,
): Operation {
  const found = journal.operationsNamed(text)
  const [operation, ...others] = found
  if (operation === undefined)
    throw new SamovarError('not-found', `there is no operation "${text}"`, {
      next: '`samovar history` lists them.',
    })
  if (others.length === 0 || operation.id === text) return operation
  throw new SamovarError('not-found', `"${text}" stands for more than one operation`, {
    next: `Name more of one of ${found.map((each) => each.id).join(', ')}.`,
  })
}

/** What `samovar show` prints of an operation, line by line: what it was, and each of its steps. */
export function operationLines(painter: Painter, operation: Operation, steps: Step[]): string[] {
  const { id, commit, result, reason, intent } = operation
  const facts: [string, string][] = [
    ['operation', id],
    ['commit', commit],
    ['started', clockTime(operation.startedAt)],
    ['took', operation.finishedAt === null ? '' : spent(operation.finishedAt - operation.startedAt)],
    ['downtime', downtimeInWords(operation)],
    ['attempts', operation.attempts > 1 ? String(operation.attempts) : ''],
    ...dataFacts(operation),
    ['reason', printable(reason)],
    ...intent.reasons.map((each): [string, string] => ['differed', printable(reasonInWords(each))]),
  ]
  const width = Math.max(0, ...steps.map((step) => step.name.length))
  return [
    `${whatInWords(painter, operation)}: ${painter.paint(resultColours[result], resultInWords(operation))}`,
    ...facts.filter(([, value]) => value !== '').map(([name, value]) => `  ${name.padEnd(9)}  ${value}`),
    '',
    ...steps.flatMap((step) => stepLines(painter, step, width)),
  ]
}

function stepLines(painter: Painter, step: Step, width: number): string[] {
  const time = step.ms === null ? step.result : spent(step.ms)
  const colour = step.result === 'failed' ? 'red' : 'yellow'
  const mark = step.result === 'done' || step.ms === null ? '' : painter.paint(colour, ` ${step.result}`)
  const [first = '', ...more] = step.detail.split('\n').map(printable)
  const started = clockTime(step.startedAt).slice(11)
  return [
    `  ${started}  ${step.name.padEnd(width)}  ${time.padStart(8)}${mark}  ${first}`.trimEnd(),
    ...more.map((line) => `  ${' '.repeat(10 + width)}            ${painter.paint('dim', line)}`),
  ]
}

/** A job succeeds or fails; nothing of a service is replaced by it. */
export function resultInWords({ kind, result }: Pick<Operation, 'kind' | 'result'>): string {
  if (kind !== 'job') return result
  return result === 'applied' ? 'succeeded' : result === 'running' ? result : 'failed'
}

/** What of it a person wants to know beside its steps. */
function dataFacts(operation: Operation): [string, string][] {
  const { intent } = operation
  const lostMs = intent.data?.lostMs ?? null
  return [
    ['backup', isAboutData(operation) ? '' : (backupOf(operation) ?? '')],
    ['in', intent.data?.backup?.stores?.join(', ') ?? ''],
    [
      'not in',
      intent.data?.without?.map(({ store, said }) => `${store}: ${printable(said)}`).join('; ') ?? '',
    ],
    ['lost', lostMs === null ? '' : `${lostMs === 0 ? '0 s' : durationInWords(lostMs)} of writes`],
    ['before', intent.safetyBackup === undefined ? '' : `what was replaced is backup ${intent.safetyBackup}`],
  ]
}

/** `notes: replace 1.0.0 (aa) -> 1.1.0 (bb)`, `notes: restore from 20261122T021400Z-0007-9f3c1a`. */
export function whatInWords(painter: Painter, operation: Operation): string {
  const words = [operation.kind, changeInWords(operation)].filter((text) => text !== '')
  return `${painter.paint('bold', operation.service)}: ${words.join(' ')}`
}

function changeInWords(operation: Operation): string {
  const { kind, from, to, intent } = operation
  const backup = backupOf(operation) ?? ''
  if (kind === 'verify') return `${backup} at level ${intent.level ?? 1}`
  if (kind === 'restore') return `from ${backup}`
  if (kind === 'backup') return backup
  if (kind === 'job') return intent.job?.name ?? ''
  if (to === null) return versionInWords(from)
  return from === null || (from.tag === to.tag && from.digest === to.digest)
    ? versionInWords(to)
    : `${versionInWords(from)} -> ${versionInWords(to)}`
}

/** Nothing was down when nothing ran before; for a backup what ran before stands still. */
export const downtimeInWords = (operation: Operation): string =>
  operation.downtimeMs === null || (operation.from === null && !isAboutData(operation))
    ? ''
    : spent(operation.downtimeMs)
