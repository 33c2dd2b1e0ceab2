import { problemsOf } from '../current-status.ts'
import { planDocument } from '../documents.ts'
import { look, newMemory } from '../look.ts'
import { buildParts } from '../parts.ts'
import type { Change } from '../plan/change.ts'
import { isSecretChange } from '../secrets/changed.ts'
import { readSettings } from '../settings.ts'
import { reasonInWords } from '../status.ts'
import { type Console, printable } from './console.ts'
import { findingLines } from './validate.ts'
import { type Call, exit, type Verb } from './verb.ts'
import { plural, sentenceAndNext, startsIn } from './wording.ts'

export const planVerb: Verb = {
  name: 'plan',
  usage: '[--now]',
  summary: 'what a pass would do and why, what is held and why',
  about: 'Fetches Git, looks at the host and says what a pass would do. Changes nothing on the host.',
  exits: [
    [exit.fine, 'in sync'],
    [exit.changes, 'there are changes, also when they are held'],
    [
      exit.error,
      'Git, the newest commit or the engine is not good; the plan of the last good commit is shown if it can be',
    ],
  ],
  options: { now: { type: 'boolean' } },
  optionTexts: { '--now': 'as `apply --now` would do it: windows do not hold anything' },
  names: [0, 0],
  json: true,
  run: plan,
}

async function plan({ options, console }: Call) {
  const parts = await buildParts(readSettings({ repository: true }))
  try {
    const outlook = await look(parts, newMemory(), { fetch: true, ignoreWindows: options['now'] === true })
    if (!('plan' in outlook)) {
      console.document({ ...planDocument(null), findings: outlook.findings })
      console.line(`Commit ${outlook.commit.slice(0, 8)} is not good, and no commit before it was:`)
      for (const line of findingLines(outlook.findings)) console.line(line)
      return exit.error
    }
    const problems = problemsOf(outlook)
    console.document({ ...planDocument(outlook.plan), findings: outlook.findings, problems })
    for (const problem of problems) {
      console.problem(`${console.paint('red', `${problem.about}:`)} ${printable(problem.message)}`)
      console.problem(`  next: ${problem.next}`)
    }
    for (const line of findingLines(outlook.findings)) console.problem(line)
    const changes = outlook.plan.changes.filter((change) => change.action !== 'none')
    tellChanges(console, changes, { commit: outlook.commit, all: outlook.plan.changes.length })
    for (const each of outlook.plan.foreign)
      console.line(
        console.paint('dim', `${each.name} is in the project, but not from Samovar: it is left alone`),
      )
    if (problems.length > 0) return exit.error
    return changes.length === 0 ? exit.fine : exit.changes
  } finally {
    await parts.close()
  }
}

function tellChanges(console: Console, changes: Change[], about: { commit: string; all: number }): void {
  const commit = about.commit.slice(0, 8)
  if (changes.length === 0) {
    console.line(
      `${console.paint('green', 'in sync:')} ${plural(about.all, 'service')} as commit ${commit} says`,
    )
    return
  }
  const held = changes.filter((change) => change.held !== null).length
  const words = held === 0 ? '' : `, ${held === changes.length ? (held === 1 ? 'it is' : 'all') : held} held`
  console.line(`${plural(changes.length, 'change')} to commit ${commit}${words}:`)
  for (const change of changes) tellChange(console, change)
}

function tellChange(console: Console, change: Change): void {
  const drift = change.drift ? ' (the host has drifted)' : ''
  const together = change.together === null ? '' : ` (together with ${change.together})`
  console.line(`${console.paint('bold', change.service)}: ${change.action}${drift}${together}`)
  const width = Math.max(0, ...change.reasons.map((reason) => reason.field.length))
  for (const reason of change.reasons) {
    const { field, before, after } = reason
    if (isSecretChange(reason)) {
      console.line(`  ${reasonInWords(reason)}`)
      continue
    }
    const was = console.paint('red', printable(before) || 'nothing')
    console.line(
      `  ${field.padEnd(width)}  ${was} -> ${console.paint('green', printable(after) || 'nothing')}`,
    )
  }
  if (change.held === null) return
  const { sentence, next } = sentenceAndNext(change.held)
  const starts = startsIn(change.startsAt, Date.now())
  console.line(`  ${console.paint('yellow', 'held:')} ${printable(sentence)}${starts}`)
  if (next !== null) console.line(`  next: ${next}`)
}
