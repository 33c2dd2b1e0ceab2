import { Readable, type Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { extract, type Header, pack } from 'tar-stream'
import { completeArchive } from './tar-archive.ts'

/** A file of a pretend volume. Owners by number, `changedAt` in whole seconds since 1970; what is left out is 0. */
export type PretendFile = {
  content: Buffer | string
  mode?: number
  user?: number
  group?: number
  changedAt?: number
  /** A file when nothing is said; the content of both kinds of link is empty. */
  type?: 'folder' | 'symlink' | 'link'
  linkTo?: string
}

/**
 * By path: `gitea/app.ini`. The volume's own folder is `.`, when it is not root's and 0755. Folders above a file need
 * no entry of their own.
 */
export type PretendFiles = Map<string, PretendFile>

/** The files below a folder as an engine streams them; names begin with `./`. */
export function packFiles(files: PretendFiles, below: string): Readable {
  const archive = pack()
  archive.entry(headerOf('./', { content: '', type: 'folder', ...(below === '' ? files.get('.') : {}) }))
  for (const path of [...files.keys()].sort()) {
    const file = files.get(path)
    if (file === undefined || path === '.' || !path.startsWith(below)) continue
    const name = `./${path.slice(below.length)}${file.type === 'folder' ? '/' : ''}`
    archive.entry(headerOf(name, file), Buffer.from(file.content))
  }
  archive.finalize()
  return Readable.from(archive as unknown as AsyncIterable<Buffer>, { objectMode: false })
}

function headerOf(name: string, file: PretendFile): Partial<Header> & Pick<Header, 'name'> {
  const link = file.linkTo === undefined ? undefined : file.type === 'link' ? `./${file.linkTo}` : file.linkTo
  return {
    name,
    type: file.type === 'folder' ? 'directory' : (file.type ?? 'file'),
    mode: file.mode ?? (file.type === 'folder' ? 0o755 : file.type === 'symlink' ? 0o777 : 0o644),
    uid: file.user ?? 0,
    gid: file.group ?? 0,
    mtime: new Date((file.changedAt ?? 0) * 1000),
    ...(link === undefined ? {} : { linkname: link }),
  }
}

/** Unpacks entry by entry, as an engine does: what came before an error stays. */
export async function unpackFiles(files: PretendFiles, below: string, archive: Readable): Promise<void> {
  const whole = completeArchive('the archive')
  const entries = extract()
  const sent = pipeline(archive, whole).catch((error: Error) => entries.destroy(error))
  whole.pipe(entries as unknown as Writable)
  for await (const entry of entries) {
    const content = await buffer(entry as AsyncIterable<Buffer>)
    const path = entry.header.name.replace(/^(\.\/)+/, '').replace(/\/$/, '')
    const file = fileOf(entry.header, content)
    if (path !== '' && path !== '.') files.set(below + path, file)
    else if (below === '') setOwn(files, file)
  }
  await sent
}

function fileOf({ type, mode, uid, gid, mtime, linkname }: Header, content: Buffer): PretendFile {
  const plain = type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644
  const seconds = Math.floor(mtime.getTime() / 1000)
  return {
    content,
    ...(mode === plain ? {} : { mode }),
    ...(uid !== 0 ? { user: uid } : {}),
    ...(gid !== 0 ? { group: gid } : {}),
    ...(seconds === 0 ? {} : { changedAt: seconds }),
    ...(type === 'directory' ? { type: 'folder' as const } : {}),
    ...(type === 'symlink' || type === 'link'
      ? { type, linkTo: type === 'link' ? linkname.replace(/^\.\//, '') : linkname }
      : {}),
  }
}

function setOwn(files: PretendFiles, file: PretendFile): void {
  if (file.mode === undefined && file.user === undefined && file.group === undefined && !file.changedAt)
    files.delete('.')
  else files.set('.', file)
}
