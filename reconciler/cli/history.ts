import { backupOf, operationDocument } from '../documents.ts'
import { SamovarError } from '../errors.ts'
import { durationInWords } from '../health/clock.ts'
import { isAboutData } from '../journal/data-records.ts'
import type { Operation, OperationResult } from '../journal/operation.ts'
import type { Journal } from '../journal.ts'
import { openState } from '../parts.ts'
import { readSettings } from '../settings.ts'
import { reasonInWords } from '../status.ts'
import { type Colour, type Console, printable } from './console.ts'
import { table } from './table.ts'
import { type Call, exit, type Verb } from './verb.ts'
import { clockTime, sentenceAndNext, spent, versionInWords } from './wording.ts'

export const historyVerb: Verb = {
  name: 'history',
  usage: '[SERVICE] [--limit N]',
  summary: 'what was rolled out, backed up, verified and restored, newest first',
  about:
    'The operations of the journal, newest first; of one service when it is named. Of a backup TO is its name, of a\nverification and a restore FROM is: enough of it for `samovar verify` and `samovar restore`.',
  exits: [
    [exit.fine, 'shown'],
    [exit.error, 'the journal cannot be read'],
  ],
  options: { limit: { type: 'string' } },
  optionTexts: { '--limit N': 'so many operations, 20 when not named' },
  names: [0, 1],
  json: true,
  run: async ({ names, options, console }) => {
    const limit = options['limit'] === undefined ? 20 : Number(options['limit'])
    if (!Number.isInteger(limit) || limit < 1)
      throw new SamovarError(
        'settings-invalid',
        `--limit is "${options['limit']}", expected a number from 1 on`,
        {
          next: 'samovar history --limit 50',
        },
      )
    return withJournal((journal) => {
      const operations = journal.history(limit, names[0])
      console.document(
        operations.map((operation) => operationDocument(operation, journal.steps(operation.id))),
      )
      tellHistory(console, operations, names[0])
      return exit.fine
    })
  },
}

export const showVerb: Verb = {
  name: 'show',
  usage: 'OPERATION',
  summary: 'one operation, step by step',
  about:
    'OPERATION is an id as `samovar history` prints it, or as much of its beginning or end as no other one has.',
  exits: [
    [exit.fine, 'shown'],
    [exit.error, 'there is no such operation, or more than one'],
  ],
  options: {},
  optionTexts: {},
  names: [1, 1],
  json: true,
  run: async ({ names, console }: Call) =>
    withJournal((journal) => {
      const operation = operationNamed(journal, names[0] ?? '')
      console.document(operationDocument(operation, journal.steps(operation.id)))
      tellOperation(console, journal, operation)
      return exit.fine
    }),
}

export const resultColours: Record<OperationResult, Colour> = {
  applied: 'green',
  untouched: 'yellow',
  reverted: 'red',
  stuck: 'red',
  running: 'blue',
}

function withJournal<T>(act: (journal: Journal) => T): T {
  const journal = openState(readSettings({ repository: false }).stateDir)
  try {
    return act(journal)
  } finally {
    journal.close()
  }
}

function operationNamed(journal: Journal, text: string): Operation {
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

function tellHistory(console: Console, operations: Operation[], service: string | undefined): void {
  if (operations.length === 0) {
    console.line(service === undefined ? 'Nothing was done yet.' : `Nothing was done with ${service} yet.`)
    return
  }
  const lines = table(
    ['OPERATION', 'STARTED', 'SERVICE', 'KIND', 'FROM', 'TO', 'RESULT', 'TOOK', 'DOWN'],
    operations.map((operation) => [
      { text: operation.id },
      { text: clockTime(operation.startedAt) },
      { text: operation.service },
      { text: operation.kind },
      ...fromAndTo(operation),
      { text: operation.result, paint: (text) => console.paint(resultColours[operation.result], text) },
      { text: operation.finishedAt === null ? '' : spent(operation.finishedAt - operation.startedAt) },
      { text: downtimeInWords(operation) },
    ]),
  )
  for (const [at, line] of lines.entries()) {
    console.line(line)
    const operation = operations[at - 1]
    if (operation !== undefined && operation.result !== 'applied' && operation.reason !== '')
      console.line(`  ${console.paint('dim', printable(sentenceAndNext(operation.reason).sentence))}`)
  }
}

function tellOperation(console: Console, journal: Journal, operation: Operation): void {
  const { id, commit, result, reason, intent } = operation
  const painted = console.paint(resultColours[result], result)
  console.line(`${whatInWords(console, operation)}: ${painted}`)
  const facts: [string, string][] = [
    ['operation', id],
    ['commit', commit],
    ['started', clockTime(operation.startedAt)],
    ['took', operation.finishedAt === null ? '' : spent(operation.finishedAt - operation.startedAt)],
    ['downtime', downtimeInWords(operation)],
    ['attempts', operation.attempts > 1 ? String(operation.attempts) : ''],
    ...dataFacts(operation),
    ['reason', printable(reason)],
  ]
  for (const [name, value] of facts) if (value !== '') console.line(`  ${name.padEnd(9)}  ${value}`)
  for (const each of intent.reasons)
    console.line(`  ${'differed'.padEnd(9)}  ${printable(reasonInWords(each))}`)
  console.line()
  const steps = journal.steps(id)
  const width = Math.max(0, ...steps.map((step) => step.name.length))
  for (const step of steps) {
    const time = step.ms === null ? step.result : spent(step.ms)
    const mark =
      step.result === 'done'
        ? ''
        : console.paint(step.result === 'failed' ? 'red' : 'yellow', ` ${step.result}`)
    const [first = '', ...more] = step.detail.split('\n').map(printable)
    const started = clockTime(step.startedAt).slice(11)
    console.line(
      `  ${started}  ${step.name.padEnd(width)}  ${time.padStart(8)}${step.ms === null ? '' : mark}  ${first}`.trimEnd(),
    )
    for (const line of more)
      console.line(`  ${' '.repeat(10 + width)}            ${console.paint('dim', line)}`)
  }
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
export function whatInWords(console: Console, operation: Operation): string {
  const words = [operation.kind, changeInWords(operation)].filter((text) => text !== '')
  return `${console.paint('bold', operation.service)}: ${words.join(' ')}`
}

function changeInWords(operation: Operation): string {
  const { kind, from, to, intent } = operation
  const backup = backupOf(operation) ?? ''
  if (kind === 'verify') return `${backup} at level ${intent.level ?? 1}`
  if (kind === 'restore') return `from ${backup}`
  if (kind === 'backup') return backup
  if (to === null) return versionInWords(from)
  return from === null || (from.tag === to.tag && from.digest === to.digest)
    ? versionInWords(to)
    : `${versionInWords(from)} -> ${versionInWords(to)}`
}

function fromAndTo(operation: Operation): [{ text: string }, { text: string }] {
  // Without the time, which stands beside it: this much is a name that the verbs take.
  const backup = { text: backupOf(operation)?.replace(/^\w+Z-/, '') ?? '' }
  if (operation.kind === 'backup') return [{ text: '' }, backup]
  if (isAboutData(operation)) return [backup, { text: '' }]
  return [{ text: versionInWords(operation.from) }, { text: versionInWords(operation.to) }]
}

/** Nothing was down when nothing ran before; for a backup what ran before stands still. */
const downtimeInWords = (operation: Operation): string =>
  operation.downtimeMs === null || (operation.from === null && !isAboutData(operation))
    ? ''
    : spent(operation.downtimeMs)
