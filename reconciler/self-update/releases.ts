import { existsSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs'
import { open, readdir, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SamovarError } from '../errors.ts'

/**
 * Where Samovar is installed: `releases/1.4.2/` for each release, `current` -> the one that runs, `previous` -> the one
 * to go back to, `update.json` how the last update went.
 */
export type LinkName = 'current' | 'previous'

export const releaseFolder = (root: string, version: string): string => join(root, 'releases', version)

/** The version a link names, or null when there is no such link, or nothing where it leads. */
export function linked(root: string, name: LinkName): string | null {
  try {
    const version = basename(readlinkSync(join(root, name)))
    return existsSync(join(releaseFolder(root, version), 'package.json')) ? version : null
  } catch {
    return null
  }
}

/** Atomic: whoever starts at this moment sees the old release or the new one. Durable when it returns. */
export async function setLink(root: string, name: LinkName, version: string): Promise<void> {
  const fresh = join(root, `.${name}.new`)
  await rm(fresh, { force: true })
  await symlink(join('releases', version), fresh)
  await rename(fresh, join(root, name))
  await syncFolder(root)
}

export async function removeLink(root: string, name: LinkName): Promise<void> {
  await rm(join(root, name), { force: true })
  await syncFolder(root)
}

/**
 * The version in the package.json of a release.
 * @throws SamovarError `update-refused` when it is none of Samovar's
 */
export function versionOf(folder: string): string {
  let manifest: { name?: unknown; version?: unknown }
  try {
    manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as typeof manifest
  } catch {
    throw notARelease(folder, 'it has no package.json that can be read')
  }
  const { name, version } = manifest
  if (name !== 'samovar' || typeof version !== 'string' || !/^\d+\.\d+\.\d+(-[\w.-]+)?$/.test(version))
    throw notARelease(folder, 'its package.json names neither samovar nor a version such as 1.4.2')
  for (const part of ['reconciler/cli.ts', 'node_modules'])
    if (!existsSync(join(folder, part))) throw notARelease(folder, `${part} is missing in it`)
  return version
}

const notARelease = (folder: string, why: string): SamovarError =>
  new SamovarError('update-refused', `${folder} is no release of Samovar: ${why}`, {
    next: 'Name a folder of Samovar, or a .tar.gz of one, in which `npm ci --omit=dev` was run.',
  })

/** At least so many releases stay on the disk. */
const kept = 3

/**
 * Removes releases that nobody goes back to: neither linked, nor the one this process runs from, nor among the newest.
 * @returns the versions that were removed
 */
export async function pruneReleases(root: string): Promise<string[]> {
  const folder = join(root, 'releases')
  const own = await realpath(join(import.meta.dirname, '../..')).catch(() => '')
  const needed = new Set([linked(root, 'current'), linked(root, 'previous')])
  if (dirname(own) === (await realpath(folder))) needed.add(basename(own))
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.'))
  const aged = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(folder, name))).ctimeMs })),
  )
  const rest = aged.filter(({ name }) => !needed.has(name)).toSorted((a, b) => b.at - a.at)
  const removed = rest.slice(Math.max(0, kept - names.filter((name) => needed.has(name)).length))
  for (const { name } of removed) await rm(join(folder, name), { recursive: true, force: true })
  return removed.map(({ name }) => name)
}

/** Written beside and renamed, both on the disk when it returns: a reader sees the old content or the new one. */
export async function writeDurably(file: string, content: string): Promise<void> {
  mkdirSync(dirname(file), { recursive: true })
  await writeFile(`${file}.new`, content, { mode: 0o644, flush: true })
  await rename(`${file}.new`, file)
  await syncFolder(dirname(file))
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
