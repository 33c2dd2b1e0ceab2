import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { Transform } from 'node:stream'
import { SamovarError } from '../errors.ts'
import { gather, largeBuffers } from './gather.ts'

/*
 * The format `aes-256-gcm-chunked-v1` of an encrypted part. Whoever has the key can read it with any AES-GCM:
 *
 *   header, 44 bytes   8  magic: the ASCII text `SAMOVAR` and one byte 01, the version of the format
 *                      4  name of the key: the first 4 bytes of SHA-256("samovar backup key" || key)
 *                     32  salt: random, another one for every part
 *   chunk 0, 1, 2 ...     ciphertext of 262,144 bytes (the last chunk: 0 to 262,144), then its tag of 16 bytes
 *
 *   key of a part      HKDF-SHA-256, input the key of 32 bytes, salt as above, info "samovar backup part v1", 32 bytes
 *   nonce of a chunk   12 bytes: the number of the chunk as 11 bytes, big-endian, then 01 for the last chunk, else 00
 *   additional data    of every chunk: the 44 bytes of the header, then the context in UTF-8, which is
 *                      `<id of the backup>/<name of the part>`: `20261122T021400Z-0007-9f3c1a/gitea-data.tar.zst`
 *
 * What that finds: a changed bit (tag), chunks in another order or left out (number), a cut or something appended
 * (only the last chunk has the last byte 01, and every part has one, also an empty part), a part that lies under the
 * name of another part or in another backup (context). Chunks of 256 KiB, since Node starts a cipher per chunk: 64 KiB
 * reached two thirds of the rate. No byte leaves `decrypt` before the tag of its chunk was found right.
 */
const magic = Buffer.from('SAMOVAR\x01', 'latin1')
const saltBytes = 32
const headerBytes = magic.length + 4 + saltBytes
const chunkBytes = 256 * 1024
const tagBytes = 16
const sealedBytes = chunkBytes + tagBytes

/**
 * The key of a text: 32 bytes in base64 or hexadecimal.
 *
 * @throws SamovarError `settings-invalid`, without the text
 */
export function keyFrom(text: string): Buffer {
  const trimmed = text.trim()
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return Buffer.from(trimmed, 'hex')
  if (/^[A-Za-z0-9+/]{43}=$/.test(trimmed)) return Buffer.from(trimmed, 'base64')
  throw new SamovarError(
    'settings-invalid',
    'The key for backups is not a key; expected 32 bytes in base64, as `openssl rand -base64 32` prints them',
  )
}

/** 8 hexadecimal digits that tell one key from another and nothing about it: `Encryption.key` of a manifest. */
export function keyName(key: Buffer): string {
  return nameBytes(key).toString('hex')
}

/** What an encrypted part is bound to: its backup and its name there. */
export function contextOf(backup: string, part: string): string {
  return `${backup}/${part}`
}

/**
 * Encrypts a stream; the format stands above. Two streams with the same content come out different.
 *
 * @param key 32 bytes, see `keyFrom`
 * @param context see `contextOf`; `decrypt` needs the same
 */
export function encrypt(key: Buffer, context: string): Transform {
  const salt = randomBytes(saltBytes)
  const header = Buffer.concat([magic, nameBytes(key), salt])
  const partKey = keyOfPart(key, salt)
  const additional = Buffer.concat([header, Buffer.from(context)])
  const waiting = gather()
  let number = 0
  const seal = (plain: Buffer, last: boolean): Buffer => {
    const cipher = createCipheriv('aes-256-gcm', partKey, nonceOf(number++, last))
    cipher.setAAD(additional)
    const sealed = cipher.update(plain)
    cipher.final()
    return Buffer.concat([sealed, cipher.getAuthTag()])
  }
  const stream = new Transform({
    ...largeBuffers,
    transform(chunk: Buffer, _encoding, done) {
      waiting.add(chunk)
      // A chunk is only known not to be the last one when something follows it.
      while (waiting.bytes() > chunkBytes) this.push(seal(waiting.take(chunkBytes), false))
      done()
    },
    flush(done) {
      done(null, seal(waiting.take(waiting.bytes()), true))
    },
  })
  stream.push(header)
  return stream
}

/**
 * Decrypts what `encrypt` made with the same key and context. Its errors:
 * - `backup-key`: the part was made with another key. Told by the name of the key in the header, so a header that was
 *   damaged just there looks the same;
 * - `backup-damaged`: all else: cut, longer, changed, in another order, of another backup or under another name. The
 *   sentence begins with a verb, for the caller to name the part.
 */
export function decrypt(key: Buffer, context: string): Transform {
  const waiting = gather()
  let open: ((sealed: Buffer, last: boolean) => Buffer) | null = null
  const read = (atEnd: boolean): Buffer[] => {
    if (open === null && waiting.bytes() >= headerBytes)
      open = opener(key, context, waiting.take(headerBytes))
    if (open === null && atEnd) throw damaged(`ends after ${waiting.bytes()} bytes`)
    if (open === null) return []
    const plain: Buffer[] = []
    while (waiting.bytes() > sealedBytes) plain.push(open(waiting.take(sealedBytes), false))
    if (atEnd) plain.push(open(waiting.take(waiting.bytes()), true))
    return plain
  }
  const pass = (stream: Transform, atEnd: boolean, done: (error?: Error | null) => void): void => {
    try {
      for (const plain of read(atEnd)) stream.push(plain)
    } catch (error) {
      done(error as Error)
      return
    }
    done()
  }
  return new Transform({
    ...largeBuffers,
    transform(chunk: Buffer, _encoding, done) {
      waiting.add(chunk)
      pass(this, false, done)
    },
    flush(done) {
      pass(this, true, done)
    },
  })
}

/** Opens the chunks of one part in their order, after a look at its header. */
function opener(key: Buffer, context: string, header: Buffer): (sealed: Buffer, last: boolean) => Buffer {
  const partKey = keyOfPart(key, saltOf(header, key))
  const additional = Buffer.concat([header, Buffer.from(context)])
  let number = 0
  return (sealed, last) => {
    const end = sealed.length - tagBytes
    if (end < 0) throw damaged(`is cut inside chunk ${number} of its encryption`)
    const decipher = createDecipheriv('aes-256-gcm', partKey, nonceOf(number, last))
    decipher.setAAD(additional)
    decipher.setAuthTag(sealed.subarray(end))
    const plain = decipher.update(sealed.subarray(0, end))
    try {
      decipher.final()
    } catch (cause) {
      const where = last ? `, its last one` : ''
      const what = `is cut, changed or not the part it is named as: chunk ${number} of its encryption${where}`
      throw damaged(`${what} does not fit`, cause)
    }
    number++
    return plain
  }
}

function saltOf(header: Buffer, key: Buffer): Buffer {
  if (!header.subarray(0, magic.length).equals(magic))
    throw damaged('does not begin like an encrypted part of this version')
  const name = header.subarray(magic.length, magic.length + 4)
  if (!name.equals(nameBytes(key)))
    throw new SamovarError(
      'backup-key',
      `needs the key ${name.toString('hex')} and was given the key ${keyName(key)}`,
    )
  return header.subarray(magic.length + 4)
}

function keyOfPart(key: Buffer, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, 'samovar backup part v1', 32))
}

function nameBytes(key: Buffer): Buffer {
  return createHash('sha256').update('samovar backup key').update(key).digest().subarray(0, 4)
}

/** 48 bits of the number are enough for 64 EiB. */
function nonceOf(number: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(number, 5, 6)
  nonce.writeUInt8(last ? 1 : 0, 11)
  return nonce
}

function damaged(sentence: string, cause?: unknown): SamovarError {
  return new SamovarError('backup-damaged', sentence, cause === undefined ? {} : { cause })
}
