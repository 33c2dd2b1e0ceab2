import type { VerifyLevel } from '../backup/manifest.ts'
import { verifyBackups } from '../data-operations.ts'
import { SamovarError } from '../errors.ts'
import { readSettings } from '../settings.ts'
import { exitOf } from './apply.ts'
import { doOperations } from './do-operations.ts'
import { exit, type Verb } from './verb.ts'

export const verifyVerb: Verb = {
  name: 'verify',
  usage: '[BACKUP] [--level 0|1|2]',
  summary: 'prove that a backup is whole, in every store that has it',
  about:
    'Without BACKUP the newest one of every service is proven. Level 0: every object has the size and the sha256 of the\nmanifest. Level 1 (default): and every stream is read to its end, dumps by pg_restore, archives entry by entry. Level 2:\nand every database is restored into a scratch server without network, and its rows are counted.',
  exits: [
    [exit.fine, 'it is whole'],
    [exit.error, 'it is damaged, or it could not be read; the parts are named'],
  ],
  options: { level: { type: 'string' } },
  optionTexts: { '--level N': '0, 1 or 2; 1 when left out' },
  names: [0, 1],
  json: true,
  run: async ({ names, options, console }) => {
    const level = levelOf(options['level'])
    const settings = readSettings({ repository: true })
    const backup = names[0] ?? null
    const outcome = await doOperations(
      { settings, console, verb: 'samovar verify' },
      { kind: 'verify', service: null, argument: { backup, level } },
      (asked) => verifyBackups(asked, backup, level),
    )
    console.document(outcome)
    if (outcome.operations.length === 0) console.line('there is no backup yet; next: samovar backup')
    return exitOf(outcome)
  },
}

function levelOf(text: string | boolean | undefined): VerifyLevel {
  const level = text === undefined ? 1 : Number(text)
  if (level === 0 || level === 1 || level === 2) return level
  throw new SamovarError('settings-invalid', `--level is ${JSON.stringify(text)}, expected 0, 1 or 2`, {
    next: 'samovar verify --help',
  })
}
