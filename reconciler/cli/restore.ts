import { createInterface } from 'node:readline/promises'
import { previewRestore, type RestorePreview, restoreBackup } from '../data-operations.ts'
import { SamovarError } from '../errors.ts'
import { newMemory } from '../look.ts'
import { buildParts } from '../parts.ts'
import { readSettings, type Settings } from '../settings.ts'
import { exitOf } from './apply.ts'
import type { Console } from './console.ts'
import { doOperations } from './do-operations.ts'
import { restoreEmptyHost } from './restore-empty-host.ts'
import { type ExitCode, exit, type Verb } from './verb.ts'
import { ago, bytes, clockTime } from './wording.ts'

export const restoreVerb: Verb = {
  name: 'restore',
  usage: 'BACKUP [--service S] [--yes]',
  summary: 'put the data of a backup back in place',
  about:
    'Shows what will be replaced, backs up what is there now, stops the services, puts databases and volumes back, starts\nthe services and checks them. Their versions stay: to go back to an older one, change it in Git as well. Killed in the\nmiddle, the next start finishes it.\n\nWith --to-empty-host a fresh machine becomes the host of a store: databases, volumes and the desired state of the\nnewest backups (or of BACKUP and what was newest at its time) are brought back, and the stack is started in order.',
  exits: [
    [exit.fine, 'the data is back and the services are healthy'],
    [exit.error, 'nothing was replaced, and the reason is told'],
    [exit.reverted, 'the data was replaced, but is half there or does not serve; the message says what next'],
  ],
  options: {
    service: { type: 'string' },
    yes: { type: 'boolean' },
    'no-safety': { type: 'boolean' },
    'to-empty-host': { type: 'boolean' },
    from: { type: 'string' },
    region: { type: 'string' },
    host: { type: 'string' },
  },
  optionTexts: {
    '--service S': 'only the data that this service names',
    '--yes': 'do not ask',
    '--no-safety': 'do not back up what is there now',
    '--to-empty-host': 'set up a fresh machine from a store; needs --from',
    '--from STORE': 'a folder, or s3:BUCKET/PREFIX',
    '--region R': 'region of the bucket',
    '--host NAME': 'which host of the store, when it has several',
  },
  names: [0, 1],
  json: true,
  run: async ({ names, options, console }) => {
    if (options['to-empty-host'] === true) return restoreEmptyHost({ names, options, console })
    const [id] = names
    if (id === undefined)
      throw new SamovarError('settings-invalid', 'restore wants a backup', {
        next: '`samovar backups` lists them.',
      })
    const settings = readSettings({ repository: true })
    const service = typeof options['service'] === 'string' ? options['service'] : null
    const safety = options['no-safety'] !== true
    if (options['yes'] !== true) {
      const preview = await look(settings, { id, service })
      for (const line of previewLines(console, preview, safety)) console.line(line)
      if (!(await agreed(console))) return nothingDone(console)
    }
    const outcome = await doOperations(
      { settings, console, verb: 'samovar restore' },
      { kind: 'restore', service: null, argument: { backup: id, service, safety } },
      async (asked) => [await restoreBackup(asked, { id, service, safety })],
    )
    console.document(outcome)
    return exitOf(outcome)
  },
}

async function look(
  settings: Settings,
  wanted: { id: string; service: string | null },
): Promise<RestorePreview> {
  const parts = await buildParts(settings)
  try {
    return await previewRestore(parts, newMemory(), wanted)
  } finally {
    await parts.close()
  }
}

function previewLines(console: Console, preview: RestorePreview, safety: boolean): string[] {
  const { manifest, data, stores, otherVersions } = preview
  const from = Date.parse(manifest.dataFrom)
  const plain = manifest.parts.reduce((sum, part) => sum + part.plainBytes, 0)
  const lines = [
    `${console.paint('bold', manifest.id)} (${manifest.class}), of ${manifest.services.join(', ')}, in ${stores.join(' and ') || console.paint('red', 'no store whole')}`,
    `  data of ${clockTime(from)}, ${ago(from, Date.now())}; ${bytes(plain)}, taken ${manifest.consistency}`,
    `  ${console.paint('yellow', 'will be replaced')}, what was written since is lost:`,
    ...data.databases.map((each) => `    database ${each.database} in ${each.server}`),
    ...data.volumes.map((each) => `    volume ${each.volumeName}`),
    `  stops meanwhile: ${[...data.stop, ...data.stopAfterDumps].join(', ') || 'nothing'}`,
    safety
      ? '  what is there now is backed up first'
      : `  ${console.paint('red', 'what is there now is not backed up')} (--no-safety)`,
  ]
  for (const { service, atBackup, now } of otherVersions)
    lines.push(
      `  ${console.paint('yellow', 'note')}: ${service} was ${atBackup} then and is ${now} now; a newer version migrates the data forward, an older one may refuse it`,
    )
  return lines
}

async function agreed(console: Console): Promise<boolean> {
  if (!console.terminal || !process.stdin.isTTY)
    throw new SamovarError('settings-invalid', 'nobody is there to be asked, so nothing was done', {
      next: 'Add --yes when what is shown above is what you want.',
    })
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await asking.question('Replace it? [y/N] ')).trim())
  } finally {
    asking.close()
  }
}

function nothingDone(console: Console): ExitCode {
  console.line('nothing was done')
  return exit.error
}
