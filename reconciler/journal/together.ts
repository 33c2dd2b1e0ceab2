import type { DatabaseSync } from 'node:sqlite'

/** Several writes that become durable together, with one flush of the disk. */
export function together<T>(database: DatabaseSync, write: () => T): T {
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
