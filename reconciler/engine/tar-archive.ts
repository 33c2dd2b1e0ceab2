import { Transform } from 'node:stream'
import { SamovarError } from '../errors.ts'

const block = 512
/** Two empty blocks end an archive. */
const endBytes = 2 * block

/**
 * Lets a tar stream through and fails at its end when it is not a whole archive. An engine that cannot read a file
 * to its end says so in its log only and ends the stream as if nothing were, and one that unpacks takes a stream
 * that was cut between two files for a complete one.
 *
 * @param what names the archive in the message: `the copy of /data`
 */
export function completeArchive(what: string): Transform {
  let tail = Buffer.alloc(0)
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      tail = Buffer.from(
        chunk.length >= endBytes
          ? chunk.subarray(-endBytes)
          : Buffer.concat([tail, chunk]).subarray(-endBytes),
      )
      done(null, chunk)
    },
    flush(done) {
      const isWhole = bytes >= endBytes && bytes % block === 0 && tail.every((byte) => byte === 0)
      done(
        isWhole
          ? null
          : new SamovarError('engine-refused', `${what} is not whole: it stopped after ${bytes} bytes`, {
              next: 'A file that changed while it was read does this (the log of the Docker daemon names it): stop the service meanwhile.',
            }),
      )
    },
  })
}

/** What a tar stream says about the folder it was made of. Time in seconds since 1970. */
export type TopFolder = { mode: number; user: number; group: number; changedAt: number }

/**
 * Lets a tar stream through and remembers its entry `./`, which Samovar and the engines write first.
 *
 * @returns `top` answers null for an archive without one, or before enough of it has passed
 */
export function topFolderIn(): { through: Transform; top: () => TopFolder | null } {
  let begun: Buffer | null = Buffer.alloc(0)
  let top: TopFolder | null = null
  const through = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (begun !== null) {
        begun = Buffer.concat([begun, chunk])
        const seen = readTop(begun)
        if (seen !== 'more' || begun.length > 64 * 1024) {
          top = seen === 'more' ? null : seen
          begun = null
        }
      }
      done(null, chunk)
    },
  })
  return { through, top: () => top }
}

/** The first entry, after an extended header if there is one; null when it is not the folder itself. */
function readTop(bytes: Buffer): TopFolder | null | 'more' {
  let at = 0
  let extended: Record<string, string> = {}
  while (bytes.length >= at + block) {
    const header = bytes.subarray(at, at + block)
    const type = String.fromCharCode(header[156] ?? 0)
    if (type === '5') return topIn(header, extended)
    if (type !== 'x' && type !== 'g') return null
    const size = numberIn(header, 124, 12)
    const content = bytes.subarray(at + block, at + block + size)
    if (content.length < size) return 'more'
    if (type === 'x') extended = recordsIn(content)
    at += block + Math.ceil(size / block) * block
  }
  return 'more'
}

function topIn(header: Buffer, extended: Record<string, string>): TopFolder | null {
  const name = extended['path'] ?? header.subarray(0, 100).toString('utf8').replace(/\0.*$/s, '')
  if (!/^\.?\/?\.?\/?$/.test(name)) return null
  return {
    mode: numberIn(header, 100, 8),
    user: Number(extended['uid'] ?? numberIn(header, 108, 8)),
    group: Number(extended['gid'] ?? numberIn(header, 116, 8)),
    changedAt: Math.floor(Number(extended['mtime'] ?? numberIn(header, 136, 12))),
  }
}

/** Octal text, or binary when the first bit is set (GNU: numbers that the text has no room for). */
function numberIn(header: Buffer, at: number, length: number): number {
  const field = header.subarray(at, at + length)
  if (((field[0] ?? 0) & 0x80) !== 0) return field.readUIntBE(length - 6, 6)
  return Number.parseInt(field.toString('latin1').replace(/[\0 ].*$/s, '') || '0', 8)
}

/** `LENGTH KEY=VALUE\n`, the length being that of the whole record in bytes. */
function recordsIn(content: Buffer): Record<string, string> {
  const records: Record<string, string> = {}
  for (let at = 0; at < content.length; ) {
    const length = Number.parseInt(content.subarray(at, at + 12).toString('latin1'), 10)
    if (!(length > 0)) break
    const record = content.subarray(at, at + length - 1).toString('utf8')
    const [key = '', ...value] = record.slice(record.indexOf(' ') + 1).split('=')
    records[key] = value.join('=')
    at += length
  }
  return records
}

/** A whole archive of one folder without content. */
export function folderEntry(folder: TopFolder & { name: string }): Buffer {
  const header = Buffer.alloc(block)
  header.write(`${folder.name}/`, 0)
  header.write(octal(folder.mode & 0o7777, 8), 100)
  writeNumber(header, folder.user, 108)
  writeNumber(header, folder.group, 116)
  header.write(octal(0, 12), 124)
  header.write(octal(Math.max(0, folder.changedAt), 12), 136)
  header.write('        5', 148)
  header.write('ustar\u000000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([header, Buffer.alloc(endBytes)])
}

const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`

function writeNumber(header: Buffer, value: number, at: number): void {
  if (value < 0o10000000) header.write(octal(value, 8), at)
  else {
    header[at] = 0x80
    header.writeUIntBE(value, at + 2, 6)
  }
}
