import { backupOf, operationDocument } from '../documents.ts'
import { SamovarError } from '../errors.ts'
import { isAboutData } from '../journal/data-records.ts'
import type { Operation } from '../journal/operation.ts'
import type { Journal } from '../journal.ts'
import { openState } from '../parts.ts'
import { readSettings } from '../settings.ts'
import {
  downtimeInWords,
  operationLines,
  operationNamed,
  resultColours,
  resultInWords,
} from '../shown-operation.ts'
import { type Console, printable } from './console.ts'
import { table } from './table.ts'
import { type Call, exit, type Verb } from './verb.ts'
import { clockTime, sentenceAndNext, spent, versionInWords } from './wording.ts'

export const historyVerb: Verb = {
  name: 'history',
  usage: '[SERVICE] [--limit N]',
  summary: 'what was rolled out, backed up, verified and restored, newest first',
  about:
    'The operations of the journal, newest first; of one service when it is named. Of a backup TO is its name, of a job\nthat of the job, of a verification and a restore FROM is: enough of it for `samovar verify` and `samovar restore`.',
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
      for (const line of operationLines(console, operation, journal.steps(operation.id))) console.line(line)
      return exit.fine
    }),
}

function withJournal<T>(act: (journal: Journal) => T): T {
  const journal = openState(readSettings({ repository: false }).stateDir)
  try {
    return act(journal)
  } finally {
    journal.close()
  }
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
      {
        text: resultInWords(operation),
        paint: (text) => console.paint(resultColours[operation.result], text),
      },
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

function fromAndTo(operation: Operation): [{ text: string }, { text: string }] {
  // Without the time, which stands beside it: this much is a name that the verbs take.
  const backup = { text: backupOf(operation)?.replace(/^\w+Z-/, '') ?? '' }
  if (operation.kind === 'backup') return [{ text: '' }, backup]
  if (operation.kind === 'job') return [{ text: '' }, { text: operation.intent.job?.name ?? '' }]
  if (isAboutData(operation)) return [backup, { text: '' }]
  return [{ text: versionInWords(operation.from) }, { text: versionInWords(operation.to) }]
}
