import { resolve } from 'node:path'
import { keyFrom } from '../backup/encryption.ts'
import { openStores } from '../backup/open-stores.ts'
import type { StorePolicy } from '../desired-state.ts'
import { type Choice, chooseBackups, fetchConfiguration, restoreToEmptyHost } from '../empty-host.ts'
import { SamovarError } from '../errors.ts'
import { takeLock } from '../journal/lock.ts'
import { newMemory } from '../look.ts'
import { outcomeOf, outcomeOfOperations } from '../outcome.ts'
import { buildParts } from '../parts.ts'
import { readSettings } from '../settings.ts'
import { exitOf, tellOutcome } from './apply.ts'
import type { Console } from './console.ts'
import { passOptions } from './do-operations.ts'
import { screenProgress } from './progress.ts'
import { stopSignal } from './stop-signal.ts'
import { type Call, type ExitCode, exit } from './verb.ts'
import { ago, bytes } from './wording.ts'

/** `restore --to-empty-host`: from the store's address and the key to a running stack. */
export async function restoreEmptyHost({ names, options, console }: Call): Promise<ExitCode> {
  // A machine that has lost them gets its data back all the same; bootstrap makes new ones.
  const settings = readSettings({ repository: false, makesSecrets: true })
  const store = storeOf(options)
  const host = typeof options['host'] === 'string' ? options['host'] : null
  using stop = stopSignal(console)
  using _lock = takeLock(settings.stateDir, 'samovar restore --to-empty-host')
  const stores = await openStores([store], settings)
  const secret = settings.backupKey?.reveal()
  const key = secret === undefined ? null : keyFrom(secret)
  const choice = await chooseBackups(stores, { host, backup: names[0] ?? null, stateDir: settings.stateDir })
  for (const line of choiceLines(console, choice)) console.line(line)
  const bundled = await fetchConfiguration(choice, stores, { key, stateDir: settings.stateDir })
  const parts = await buildParts(
    {
      ...settings,
      repository: settings.repository === '' ? bundled.repository : settings.repository,
      branch: bundled.branch,
      directory: bundled.directory,
    },
    stop.signal,
  )
  using progress = screenProgress(console)
  try {
    const asked = { parts, memory: newMemory(), options: passOptions(console, stop.signal, progress) }
    const { operations, report } = await restoreToEmptyHost(asked, { choice, bundled, store })
    const restored = outcomeOfOperations(operations)
    // Gitea itself has only just come back: that the repository could not be fetched is no problem of this.
    const started = { ...outcomeOf(report, []), sourceProblem: null }
    const outcome = { ...started, operations: [...restored.operations, ...started.operations] }
    console.document(outcome)
    tellOutcome(console, outcome)
    // What did not run then is held, and that is right.
    const code = exitOf({ ...outcome, held: [] })
    if (code === exit.fine) {
      console.line(`${console.paint('green', choice.host)} is back as of ${choice.newest.manifest.dataFrom}`)
      console.line(`next: SAMOVAR_REPOSITORY=${parts.settings.repository} samovar run`)
    }
    return code
  } finally {
    await parts.close()
    for (const each of stores) await each.store.close()
  }
}

function storeOf(options: Call['options']): StorePolicy {
  const { from, region } = options
  if (typeof from !== 'string')
    throw new SamovarError('settings-invalid', 'restore --to-empty-host wants to know the store', {
      next: 'Add --from /path/of/the/folder, or --from s3:BUCKET/PREFIX.',
    })
  if (!from.startsWith('s3:'))
    return { kind: 'file', folder: resolve(from.replace(/^file:/, '')), required: true, keep: null }
  const [bucket = '', ...prefix] = from.slice('s3:'.length).replace(/^\/+/, '').split('/')
  return {
    kind: 's3',
    bucket,
    prefix: prefix.join('/'),
    region: typeof region === 'string' ? region : null,
    required: true,
    keep: null,
  }
}

function choiceLines(console: Console, choice: Choice): string[] {
  return [
    `${console.paint('bold', choice.host)} at commit ${choice.commit.slice(0, 8)}, from:`,
    ...choice.backups.map(({ manifest }) => {
      const plain = manifest.parts.reduce((sum, part) => sum + part.plainBytes, 0)
      return `  ${manifest.id}  ${manifest.services.join(', ')}, ${bytes(plain)}, ${ago(manifest.dataFrom, Date.now())}`
    }),
  ]
}
