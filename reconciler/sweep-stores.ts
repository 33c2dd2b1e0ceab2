import { prefixOfHost } from './backup/backup-id.ts'
import { inForce } from './in-force.ts'
import type { Memory } from './look.ts'
import type { Parts } from './parts.ts'

const swept = new WeakSet<Parts>()

/**
 * What this host's own cut writes left in the stores (temporary files, unfinished multipart uploads that cost money
 * and stand in no listing) is removed, once in the life of a process. Only what is older than the process: whoever
 * holds the lock is the only one who writes.
 *
 * @returns how many were removed, or null when it was done before; a store that does not answer is tried at the next start
 */
export async function sweepStoresOnce(parts: Parts, memory: Memory): Promise<number | null> {
  if (swept.has(parts)) return null
  const { host } = (await inForce(parts, memory)).state
  if (host.backup === null) return null
  swept.add(parts)
  let removed = 0
  const startedAt = parts.now() - process.uptime() * 1000
  for (const { store } of await parts.backups.open(host.backup.stores))
    removed += await store.sweep(prefixOfHost(host.name), startedAt).catch(() => 0)
  return removed
}
