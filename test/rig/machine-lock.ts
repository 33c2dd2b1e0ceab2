import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { until } from './until.ts'

/**
 * One at a time on this machine, between processes and inside one. The lock is SQLite's own file lock: it ends
 * with the process, so a killed run leaves nothing that somebody must clear away.
 *
 * @param file where the lock's database stands; made when it is missing
 */
export async function withMachineLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(file), { recursive: true })
  const database = new DatabaseSync(file)
  try {
    database.exec('PRAGMA busy_timeout = 0')
    await until(
      `the lock ${file} (another run sets up; its output says what)`,
      () => {
        database.exec('BEGIN EXCLUSIVE')
        return true
      },
      { withinMs: 600_000, everyMs: 100 },
    )
    return await work()
  } finally {
    database.close()
  }
}
