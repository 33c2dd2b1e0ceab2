import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { htmlOfUpdate, type UpdatePage } from './update-page.ts'

/** Header by which the proxy knows the health checks of a roll-out, and lets them pass. */
export const checkHeader = 'X-Samovar-Check'

/**
 * What the proxy reads (compose/nginx/gate.js). All times are milliseconds since 1970 by the clock of the host, which
 * the proxy shares: a Samovar that died keeps nobody waiting.
 */
export type Flag = {
  operation: string
  /** Services of the Compose file whose requests are held. */
  services: string[]
  /** Requests wait until then; after it they are answered 503. In the past: nobody waits. */
  holdUntil: number
  /** From then on they pass: what they were held for answers again. Null: not yet known. */
  opensAt: number | null
  /** From then on the flag means nothing, whatever else it says. */
  endsAt: number
  /** Checks that show it pass; made anew with each flag, worth nothing after it. */
  token: string
}

const flagFile = 'flag.json'
const pageFiles = ['now.json', 'now.html']

/** The folder that the proxy mounts: its workers are other users, who must be able to read. */
export function makeHoldFolder(folder: string): void {
  mkdirSync(folder, { recursive: true })
  chmodSync(folder, 0o755)
}

/** From now on the proxy holds the requests, or answers 503 with the page. The page is there before the flag. */
export function writeHold(folder: string, flag: Omit<Flag, 'token'>, page: UpdatePage): void {
  makeHoldFolder(folder)
  replaceFile(folder, 'now.json', `${JSON.stringify(page)}\n`)
  replaceFile(folder, 'now.html', htmlOfUpdate(page))
  writeFlag(folder, { ...flag, token: randomBytes(16).toString('hex') })
}

/** The flag of one operation; null when there is none, another one, or one that cannot be read. */
export function readHold(folder: string, operation: string): Flag | null {
  try {
    const flag = JSON.parse(readFileSync(join(folder, flagFile), 'utf8')) as Flag
    return flag.operation === operation ? flag : null
  } catch {
    return null
  }
}

/** Held requests pass from a moment on, at the latest one look of the proxy (200 ms) after it. */
export function openHold(folder: string, flag: Flag, opensAt: number): void {
  writeFlag(folder, { ...flag, opensAt })
}

/** Requests pass as ever. The page goes last: who was told to come back may still load it. Safe to repeat. */
export function removeHold(folder: string): void {
  for (const name of [flagFile, ...pageFiles]) rmSync(join(folder, name), { force: true })
}

const writeFlag = (folder: string, flag: Flag): void => replaceFile(folder, flagFile, JSON.stringify(flag))

/** Whole or not at all, for whoever reads it at that moment. */
function replaceFile(folder: string, name: string, text: string): void {
  const next = join(folder, `.${name}.new`)
  writeFileSync(next, text)
  chmodSync(next, 0o644)
  renameSync(next, join(folder, name))
}
