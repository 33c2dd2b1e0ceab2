import { backupDocument, faultOf, isWhole, type ListedBackup } from '../backup/list-backups.ts'
import { reasonOf } from '../errors.ts'
import { newMemory } from '../look.ts'
import { buildParts } from '../parts.ts'
import { readSettings } from '../settings.ts'
import { backupsNow, type ListedNow } from '../stored-backups.ts'
import { type Console, printable } from './console.ts'
import { table } from './table.ts'
import { type Call, exit, type Verb } from './verb.ts'
import { ago, bytes, clockTime, plural } from './wording.ts'

export const backupsVerb: Verb = {
  name: 'backups',
  usage: '',
  summary: 'every backup: of what, where it is, and how well it is proven',
  about:
    'Asks every store that the desired state names, newest first. VERIFIED is the highest level that was passed:\n0 size and hash of every part, 1 every part read to its end, 2 databases restored and counted.',
  exits: [
    [exit.fine, 'shown'],
    [exit.error, 'a store did not answer, or has a backup that cannot be read; the others are shown'],
  ],
  options: {},
  optionTexts: {},
  names: [0, 0],
  json: true,
  run: show,
}

async function show({ console }: Call) {
  const parts = await buildParts(readSettings({ repository: true }))
  try {
    const { host, listed, stores } = await backupsNow(parts, newMemory())
    console.document(listed.backups.map(backupDocument))
    tellBackups(console, { host, listed, stores }, parts.now())
    return listed.problems.length === 0 ? exit.fine : exit.error
  } finally {
    await parts.close()
  }
}

export function tellBackups(console: Console, { host, listed, stores }: ListedNow, now: number): void {
  tellStoreProblems(console, listed.problems)
  if (host.backup === null) {
    console.line('host.yaml names no store: no backups are taken')
    console.line('next: add `backup: { stores: [...] }` to host.yaml')
    return
  }
  if (listed.backups.length === 0)
    console.line(`There is no backup of ${host.name} in ${stores.map(({ store }) => store.name).join(', ')}.`)
  else tellTable(console, listed.backups, now)
  for (const [store, remains] of Map.groupBy(listed.remains, (each) => each.store))
    console.line(
      console.paint(
        'dim',
        `${store}: ${plural(remains.length, 'backup')} without a manifest, unfinished or half removed; \`samovar prune\` removes them when they are a day old`,
      ),
    )
}

/** Most sentences name the store already. */
export function tellStoreProblems(console: Console, problems: { store: string; error: Error }[]): void {
  for (const { store, error } of problems) {
    const where = error.message.includes(store) ? 'problem:' : `${store}:`
    console.problem(`${console.paint('red', where)} ${printable(reasonOf(error))}`)
  }
}

function tellTable(console: Console, backups: ListedBackup[], now: number): void {
  const heads = ['ID', 'WHEN', 'AGE', 'SERVICES', 'KIND', 'SIZE', 'VERIFIED', 'STORES']
  const lines = table(
    heads,
    backups.map((backup) => rowOf(console, backup, now)),
  )
  for (const [at, line] of lines.entries()) {
    console.line(line)
    for (const copy of backups[at - 1]?.copies ?? [])
      if (!isWhole(copy)) console.line(`  ${console.paint('red', printable(faultOf(copy)))}`)
  }
}

function rowOf(console: Console, backup: ListedBackup, now: number) {
  const { manifest, createdAt, stores, verified } = backup
  const red = (text: string) => console.paint('red', text)
  return [
    { text: manifest.id },
    { text: clockTime(createdAt) },
    { text: ago(createdAt, now) },
    { text: manifest.services.join(', ') },
    { text: manifest.class },
    { text: bytes(backup.bytes) },
    { text: verified === null ? 'no' : `level ${verified}` },
    stores.length === 0 ? { text: 'nowhere whole', paint: red } : { text: stores.join(', ') },
  ]
}
