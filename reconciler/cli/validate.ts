import { existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { findCompose } from '../compose-config.ts'
import { type Finding, findingLine } from '../desired-state.ts'
import { SamovarError } from '../errors.ts'
import { loadCommit } from '../load.ts'
import { exposedSecrets, hintLine } from '../secrets/exposed.ts'
import { standInsFor } from '../secrets/secrets.ts'
import { readSettings } from '../settings.ts'
import { printable } from './console.ts'
import { type Call, exit, type Verb } from './verb.ts'
import { plural } from './wording.ts'

export const validateVerb: Verb = {
  name: 'validate',
  usage: '[DIR]',
  summary: 'judge a checkout of the host repository: schemas, cross-references, Compose model',
  about:
    'Reads DIR (the root of a checkout of the host repository; the current folder when not named) and prints every\nfinding as file:line:column: key: what is wrong, what was expected. Needs Compose, but no engine and no secrets.',
  exits: [
    [exit.fine, 'valid'],
    [exit.error, 'findings, or the folder cannot be judged'],
  ],
  options: {},
  optionTexts: {},
  names: [0, 1],
  json: true,
  run: validate,
}

async function validate({ names, console }: Call) {
  const { directory } = readSettings({ repository: false })
  const root = rootOf(resolve(names[0] ?? '.'), directory)
  const compose = await findCompose()
  const { loaded, findings } = await loadCommit({
    compose,
    commit: '',
    root,
    directory,
    values: standInsFor(),
  })
  const services = Object.keys(loaded?.state.services ?? {})
  const hints = loaded === null ? [] : exposedSecrets(loaded).map(hintLine)
  console.document({ valid: loaded !== null, services, findings, hints })
  if (loaded !== null) {
    console.line(
      `${console.paint('green', 'valid:')} ${join(root, directory)} describes ${plural(services.length, 'service')} of ${loaded.state.host.name}: ${services.join(', ')}`,
    )
    for (const hint of hints) console.line(`hint: ${printable(hint)}`)
    return exit.fine
  }
  for (const line of findingLines(findings)) console.line(line)
  console.line(
    `${console.paint('red', plural(findings.length, 'finding'))}; next: correct the lines above and run it again`,
  )
  return exit.error
}

export const findingLines = (findings: Finding[]): string[] =>
  findings.map((finding) => printable(findingLine(finding)))

/** Somebody who stands in desired-state/ means the checkout around it. */
export function rootOf(folder: string, directory: string): string {
  if (existsSync(join(folder, directory))) return folder
  if (basename(folder) === basename(directory) && existsSync(join(folder, 'host.yaml')))
    return dirname(folder)
  throw new SamovarError('not-found', `${folder} has no folder ${directory}`, {
    next: 'Name the root of a checkout of the host repository, or set SAMOVAR_DIRECTORY to where host.yaml lies in it.',
  })
}
