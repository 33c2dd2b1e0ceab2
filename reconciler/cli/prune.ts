import type { Pruned } from '../backup/prune.ts'
import { newMemory } from '../look.ts'
import { buildParts } from '../parts.ts'
import { pruneBackups } from '../prune-backups.ts'
import { readSettings } from '../settings.ts'
import { tellStoreProblems } from './backups.ts'
import { type Console, printable } from './console.ts'
import { table } from './table.ts'
import { type Call, exit, type Verb } from './verb.ts'
import { bytes, clockTime, plural } from './wording.ts'

export const pruneVerb: Verb = {
  name: 'prune',
  usage: '[--dry-run]',
  summary: 'remove the backups that no `keep` keeps, and say why each stays or goes',
  about:
    'Judges the backups of every store by its `keep` in host.yaml. The newest good one of every service stays in any\ncase, and so does what an unfinished operation or a quarantine refers to. Without `keep` nothing is removed.\nWhat was cut short and has no manifest goes when it is a day old.',
  exits: [
    [exit.fine, 'done, also when there was nothing to remove'],
    [exit.error, 'a store did not answer, or did not remove what it should; the next run tries again'],
  ],
  options: { 'dry-run': { type: 'boolean' } },
  optionTexts: { '--dry-run': 'only say what would be removed' },
  names: [0, 0],
  json: true,
  run,
}

async function run({ options, console }: Call) {
  const dryRun = options['dry-run'] === true
  const parts = await buildParts(readSettings({ repository: true }))
  try {
    const { pruned, problems } = await pruneBackups(parts, newMemory(), { dryRun })
    console.document(
      pruned.map((each) => ({ ...each, createdAt: new Date(each.createdAt).toISOString(), dryRun })),
    )
    tellStoreProblems(console, problems)
    tellPruned(console, pruned, dryRun)
    return problems.length === 0 ? exit.fine : exit.error
  } finally {
    await parts.close()
  }
}

export function tellPruned(console: Console, pruned: Pruned[], dryRun: boolean): void {
  for (const [store, rows] of Map.groupBy(pruned, (each) => each.store)) {
    console.line(console.paint('bold', store))
    const lines = table(
      ['', 'ID', 'WHEN', 'SERVICES', 'KIND', 'SIZE', 'WHY'],
      rows.map((row) => cellsOf(console, row, dryRun)),
    )
    for (const line of lines) console.line(line)
    console.line()
  }
  const removed = pruned.filter((each) => each.action === 'removed')
  const freed = bytes(removed.reduce((sum, each) => sum + each.bytes, 0))
  const kept = pruned.length - removed.length
  const verb = dryRun ? 'would be removed' : 'removed'
  console.line(
    removed.length === 0
      ? `nothing to remove, ${kept} kept`
      : `${plural(removed.length, 'backup')} ${verb} (${freed}), ${kept} kept`,
  )
}

function cellsOf(console: Console, row: Pruned, dryRun: boolean) {
  const goes = row.action === 'removed'
  return [
    {
      text: goes ? (dryRun ? 'remove' : 'removed') : 'keep',
      paint: (text: string) => console.paint(goes ? 'yellow' : 'dim', text),
    },
    { text: row.id },
    { text: clockTime(row.createdAt) },
    { text: row.services.join(', ') },
    { text: row.class },
    { text: bytes(row.bytes) },
    { text: printable(row.reasons.join(', ')) },
  ]
}
