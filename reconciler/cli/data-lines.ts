import { backupOf } from '../documents.ts'
import type { Operation } from '../journal/operation.ts'
import { type Console, printable } from './console.ts'
import { bytes, clockTime, sentenceAndNext, spent } from './wording.ts'

/** How a backup, a verification or a restore ended, with the next step. */
export function dataEndLines(console: Console, operation: Operation): string[] {
  const { result, reason } = operation
  const lines = [headOf(console, operation)]
  const { sentence, next } = sentenceAndNext(reason)
  if (sentence !== '' && result !== 'applied') lines.push(`  ${printable(sentence)}`)
  for (const { store, said } of operation.intent.data?.without ?? [])
    lines.push(`  ${console.paint('yellow', 'but')} ${store} does not have it: ${printable(said)}`)
  const then = next ?? nextOf(operation)
  if (then !== null) lines.push(`  next: ${printable(then)}`)
  return lines
}

function headOf(console: Console, operation: Operation): string {
  const { kind, result, startedAt, finishedAt, intent, service, downtimeMs } = operation
  const took = finishedAt === null ? '' : ` in ${spent(finishedAt - startedAt)}`
  const failed = finishedAt === null ? '' : ` after ${spent(finishedAt - startedAt)}`
  const whose = intent.data?.owners.join(', ') ?? service
  const down = downtimeMs === null ? '' : ` (down for ${spent(downtimeMs)})`
  const backup = backupOf(operation) ?? ''
  const good = (words: string) => console.paint('green', words)
  const bad = (words: string) => console.paint('red', words)
  if (kind === 'backup') {
    if (result === 'applied')
      return `${whose}: ${good('backed up')}${took}${down}: ${takenInWords(operation)}`
    const then =
      result === 'stuck' ? '; what was stopped for it does not all run again' : '; it runs as before'
    const done =
      result === 'stuck' && operation.backup !== null ? `${good('backed up')}${took}: ${backup}` : null
    return `${whose}: ${done ?? `${bad('backup failed')}${failed}`}${then}`
  }
  if (kind === 'verify') {
    if (result === 'applied')
      return `${whose}: ${good(`good at level ${intent.level ?? 1}`)}${took}: ${backup}`
    return `${whose}: ${bad('not proven')}${failed}: ${backup}`
  }
  const dataFrom = intent.data?.backup?.dataFrom
  const of = dataFrom === undefined ? '' : `data of ${clockTime(dataFrom)}, `
  if (result === 'applied') return `${whose}: ${good('restored')}${took}${down}: ${of}from ${backup}`
  if (result === 'stuck') return `${whose}: ${bad('stuck')}${failed}: restore from ${backup}`
  return `${whose}: ${console.paint('yellow', 'not restored')}${failed}; it runs as before`
}

/** `20261122T021400Z-0007-9f3c1a, 84.2 MB in file /var/backups/samovar`. */
function takenInWords(operation: Operation): string {
  const taken = operation.intent.data?.backup
  const size = taken?.bytes === undefined ? '' : `, ${bytes(taken.bytes)}`
  const where = taken?.stores === undefined ? '' : ` in ${taken.stores.join(' and ')}`
  return `${backupOf(operation) ?? ''}${size}${where}`
}

function nextOf({ id, kind, result, intent }: Operation): string | null {
  if (result === 'applied')
    return intent.safetyBackup === undefined
      ? null
      : `look at it; samovar restore ${intent.safetyBackup} takes it back`
  if (kind === 'verify') return `samovar backups shows others; samovar show ${id} has each store`
  if (kind === 'backup' && result === 'untouched')
    return 'samovar doctor tries the stores, then samovar backup'
  return `samovar show ${id}, samovar status`
}
