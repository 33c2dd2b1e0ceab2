import { createHmac, randomBytes } from 'node:crypto'
import { chown, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { MountedSource } from '../compose/mounted-sources.ts'
import { SamovarError } from '../errors.ts'

type Place = {
  secretsDir: string
  /** Makes addresses that tell nothing about the secret they stand for. */
  key: string
}

/** As Compose documents it for configs; secrets say their own. */
const usualMode = 0o444

const textOf = ({ from }: MountedSource): string => ('content' in from ? from.content : '')

/** Where a text of the model is, or will be: another text, mode or owner has another place. */
export function secretPath(source: MountedSource, { secretsDir, key }: Place): string {
  const wish = [source.name, source.mode ?? usualMode, source.uid ?? 0, source.gid ?? 0]
  const hash = createHmac('sha256', key).update(JSON.stringify(wish)).update('\0').update(textOf(source))
  return join(secretsDir, hash.digest('hex').slice(0, 32), source.name)
}

/**
 * Writes a text of the model where containers mount it, in a folder that only root enters: whole or not at all, with the
 * mode and owner it asks for. What is there and as it should be is left alone, also by its time.
 *
 * @returns its path
 * @throws SamovarError `settings-invalid` when the folder for secrets cannot be used
 */
export async function writeSecret(source: MountedSource, place: Place): Promise<string> {
  const path = secretPath(source, place)
  await writeSecretAt(path, source, place.secretsDir)
  return path
}

/** The same at a place that a container mounts already. */
export async function writeSecretAt(path: string, source: MountedSource, secretsDir: string): Promise<void> {
  if (await isAsWished(path, source)) return
  try {
    await mkdir(secretsDir, { recursive: true, mode: 0o700 })
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await replaceSecret(path, source)
    await sync(dirname(path))
    await sync(secretsDir)
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new SamovarError('settings-invalid', `secrets cannot be written below ${secretsDir} (${why})`, {
      next: 'Set SAMOVAR_SECRETS_DIR to a folder that Samovar may write to, and run Samovar as root when a secret names its uid.',
      cause: error,
    })
  }
}

async function isAsWished(path: string, source: MountedSource): Promise<boolean> {
  try {
    const facts = await stat(path)
    if ((facts.mode & 0o7777) !== (source.mode ?? usualMode)) return false
    if (source.uid !== undefined && facts.uid !== source.uid) return false
    if (source.gid !== undefined && facts.gid !== source.gid) return false
    return (await readFile(path, 'utf8')) === textOf(source)
  } catch {
    return false
  }
}

/** Nobody but its owner ever sees a part of it, also when this is killed. */
async function replaceSecret(path: string, source: MountedSource): Promise<void> {
  const temporary = join(dirname(path), `.unfinished-${randomBytes(8).toString('hex')}`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(textOf(source))
      if (source.uid !== undefined || source.gid !== undefined)
        await chown(temporary, source.uid ?? 0, source.gid ?? 0)
      await file.chmod(source.mode ?? usualMode)
      await file.sync()
    } finally {
      await file.close()
    }
    // An engine that was told to mount what is not there may have made a folder of it.
    if (await isFolder(path)) await rm(path, { recursive: true })
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (facts) => facts.isDirectory(),
    () => false,
  )

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const isOlder = async (path: string, than: number): Promise<boolean> => (await stat(path)).mtimeMs < than

/** Only folders of this form are ever removed: a wrong SAMOVAR_SECRETS_DIR costs nobody anything. */
const ownName = /^[0-9a-f]{32}$/

/** Another process, a `plan` for example, may be writing one at this moment. Milliseconds. */
const youngest = 10_000

/**
 * Removes the secrets that no container mounts and the desired state does not ask for, and what a killed process left
 * beside the others. One that was set aside counts as a container: it must find its own when it comes back.
 *
 * @param mounts every path that any container mounts
 * @param wanted text in which the paths of the desired state occur
 * @param now milliseconds since 1970
 */
export async function removeUnusedSecrets(
  secretsDir: string,
  { mounts, wanted, now }: { mounts: string[]; wanted: string; now: number },
): Promise<void> {
  for (const name of await readdir(secretsDir).catch(() => [])) {
    if (!ownName.test(name)) continue
    const folder = join(secretsDir, name)
    if (!(await isOlder(folder, now - youngest))) continue
    const isUsed = wanted.includes(folder) || mounts.some((path) => path.startsWith(`${folder}/`))
    if (!isUsed) {
      await rm(folder, { recursive: true, force: true })
      continue
    }
    const unfinished = (await readdir(folder)).filter((file) => file.startsWith('.unfinished-'))
    for (const file of unfinished) await rm(join(folder, file), { force: true })
  }
}
