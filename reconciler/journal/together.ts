import type { DatabaseSync } from 'node:sqlite'

/** Several writes that become durable together, with one flush of the disk. */
export function together<T>(database: DatabaseSync, write: () => T): T {
  return inOne(database, write)
}

/**
 * As `together`, but durable only with the next write of any kind: a killed process loses nothing, a power failure
 * may lose it. For what follows an act; what must stand before one is never written so.
 */
export function togetherLater<T>(database: DatabaseSync, write: () => T): T {
  database.exec('pragma synchronous = normal')
  try {
    return inOne(database, write)
  } finally {
    database.exec('pragma synchronous = full')
  }
}

function inOne<T>(database: DatabaseSync, write: () => T): T {
  database.exec('begin immediate')
  try {
    const result = write()
    database.exec('commit')
    return result
  } catch (error) {
    database.exec('rollback')
    throw error
  }
}
