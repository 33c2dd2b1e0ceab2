import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SamovarError } from '../errors.ts'

export type LockOwner = { pid: number; what: string; since: string }
export type Lock = { release(): void } & Disposable

/** Milliseconds: whoever only looks who has the lock (`lockOwner`) holds it for a moment. */
const lookTakes = 300

/** Held here, so that a lock whose owner kept no reference is not collected, and let go, while it still acts. */
const heldLocks = new Set<DatabaseSync>()

/**
 * The right to act on the host for one state directory. Node has no flock; SQLite's exclusive transaction holds a
 * POSIX lock that the kernel drops when the process dies, however it dies, so a lock never stays behind and a
 * process id in a container that means another process elsewhere is never believed.
 *
 * @param what who takes it, for the one who finds it taken: `samovar run`
 * @param patience milliseconds the process stands still for it
 * @throws SamovarError `state-locked` naming the owner
 */
export function takeLock(stateDir: string, what: string, patience = lookTakes): Lock {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(join(stateDir, 'lock.sqlite'), { timeout: patience })
  const ownerFile = join(stateDir, 'lock.json')
  try {
    database.exec('pragma journal_mode = delete; begin exclusive')
  } catch (error) {
    database.close()
    const owner = readOwner(ownerFile)
    const who =
      owner === null ? 'another process' : `\`${owner.what}\` (pid ${owner.pid}, since ${owner.since})`
    throw new SamovarError('state-locked', `${stateDir} is in use by ${who}`, {
      next: 'Wait until it is done, or stop it: it finishes or safely cuts what it is doing.',
      cause: error,
    })
  }
  writeFileSync(ownerFile, JSON.stringify({ pid: process.pid, what, since: new Date().toISOString() }), {
    mode: 0o600,
  })
  heldLocks.add(database)
  let held = true
  const release = () => {
    if (!held) return
    held = false
    heldLocks.delete(database)
    rmSync(ownerFile, { force: true })
    database.exec('rollback')
    database.close()
  }
  return { release, [Symbol.dispose]: release }
}

/** Who has the lock now, or null when it is free; a name that a killed process left behind does not count. */
export function lockOwner(stateDir: string): LockOwner | null {
  if (!existsSync(join(stateDir, 'lock.sqlite'))) return null
  const database = new DatabaseSync(join(stateDir, 'lock.sqlite'), { timeout: 0 })
  try {
    database.exec('select 1 from sqlite_master')
    return null
  } catch {
    return readOwner(join(stateDir, 'lock.json')) ?? { pid: 0, what: 'another process', since: '' }
  } finally {
    database.close()
  }
}

function readOwner(file: string): LockOwner | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as LockOwner
  } catch {
    return null
  }
}
