import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StoredObject } from './store.ts'

export type RememberedTexts = {
  /**
   * The text of an object that never changes, judged again each time: from the folder when it is there and good, else
   * from the store. What it throws is the judgement on what the store has.
   */
  read<T>(
    object: StoredObject & { store: string },
    fetch: () => Promise<string>,
    parse: (text: string, key: string) => Promise<T>,
  ): Promise<{ value: T; text: string }>
  /** Removes what was not asked for since this was opened. */
  forgetOthers(): Promise<void>
}

/** Only files of this form are ever removed: a wrong folder costs nobody anything. */
const ownName = /^[0-9a-f]{64}\.json(\.\d+)?$/

/**
 * Texts of small objects, one file each in a folder. Losing it costs time only, so a folder that cannot be written to
 * is no reason to know nothing about backups: then every text is fetched.
 */
export async function openRememberedTexts(folder: string): Promise<RememberedTexts> {
  const asked = new Set<string>()
  const usable = await mkdir(folder, { recursive: true, mode: 0o700 }).then(
    () => true,
    () => false,
  )
  return {
    async read(object, fetch, parse) {
      const name = nameOf(object)
      asked.add(name)
      const known = usable ? await readFile(join(folder, name), 'utf8').catch(() => null) : null
      if (known !== null) {
        try {
          return { value: await parse(known, object.key), text: known }
        } catch {
          // Damaged here, or judged by an older version: the store has the say.
        }
      }
      const text = await fetch()
      const value = await parse(text, object.key)
      if (usable) await keep(folder, name, text)
      return { value, text }
    },
    async forgetOthers() {
      const names = await readdir(folder).catch(() => [])
      const others = names.filter((name) => ownName.test(name) && !asked.has(name))
      await Promise.all(others.map((name) => rm(join(folder, name), { force: true }).catch(() => undefined)))
    },
  }
}

/** An object that was replaced nevertheless has another size or time, and is read again. */
const nameOf = ({ store, key, bytes, changedAt }: StoredObject & { store: string }): string =>
  `${createHash('sha256')
    .update(JSON.stringify([store, key, bytes, changedAt]))
    .digest('hex')}.json`

async function keep(folder: string, name: string, text: string): Promise<void> {
  const partial = join(folder, `${name}.${process.pid}`)
  try {
    await writeFile(partial, text, { mode: 0o600 })
    await rename(partial, join(folder, name))
  } catch {
    await rm(partial, { force: true }).catch(() => undefined)
  }
}
