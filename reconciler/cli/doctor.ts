import { examine } from '../doctor.ts'
import type { Finding as Examined } from '../doctor-finding.ts'
import { readSettings, type Settings } from '../settings.ts'
import { type Console, printable } from './console.ts'
import { exit, type Verb } from './verb.ts'
import { plural } from './wording.ts'

export const doctorVerb: Verb = {
  name: 'doctor',
  usage: '',
  summary: 'check everything a pass needs, with the next step for what is missing',
  about:
    'Checks settings, state directory, Compose, engine, disk, Git, desired state, Gitea, registries, stores for backups,\ndatabase servers and the mail server. Changes nothing but a small object in each store, which is written, read and removed.',
  exits: [
    [exit.fine, 'everything a pass needs is there'],
    [exit.error, 'something is missing; the lines say what to do'],
  ],
  options: {},
  optionTexts: {},
  names: [0, 0],
  json: true,
  run: async ({ console }) => {
    const checks: Examined[] = []
    for await (const check of examine(settingsOrProblem())) {
      checks.push(check)
      tell(console, check)
    }
    const bad = checks.filter((check) => !check.ok).length
    console.document({ ok: bad === 0, checks })
    console.line(
      bad === 0
        ? console.paint('green', 'everything a pass needs is there')
        : console.paint('red', plural(bad, 'problem')),
    )
    return bad === 0 ? exit.fine : exit.error
  },
}

function settingsOrProblem(): Settings | Error {
  try {
    return readSettings({ repository: true })
  } catch (error) {
    return error as Error
  }
}

/** `gitea repository` is the longest. */
const nameWidth = 16

function tell(console: Console, check: Examined): void {
  const mark = check.ok ? console.paint('green', 'ok     ') : console.paint('red', 'problem')
  console.line(`${mark}  ${check.name.padEnd(nameWidth)}  ${printable(check.said)}`)
  if (check.next !== null) console.line(`         ${' '.repeat(nameWidth)}  next: ${printable(check.next)}`)
}
