import { SamovarError } from '../errors.ts'

/**
 * What a tar header says, as far as it must be known to follow an archive. Names are read as latin1, one character
 * for one byte, since nothing promises that a file name is UTF-8; `sayName` makes them readable.
 */
export type TarHeader = {
  /** The type flag: `0` file, `1` hard link, `5` folder, `x` `g` PAX records, `L` `K` long names of GNU tar. */
  type: string
  name: string
  /** Where a link points to. */
  link: string
  /** Bytes of content behind the header, without the padding to whole blocks. */
  size: number
  /** True when more blocks of an old GNU map of holes follow. */
  sparse: boolean
}

export const blockBytes = 512

/**
 * @param block 512 bytes
 * @throws SamovarError `backup-damaged` when the checksum or a number is not right
 */
export function readHeader(block: Buffer): TarHeader {
  const expected = numberAt(block, 148, 8)
  if (expected !== checksumOf(block))
    throw damaged(`has a header whose checksum is wrong, named "${sayName(textAt(block, 0, 100))}"`)
  const flag = textAt(block, 156, 1)
  const short = textAt(block, 0, 100)
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? textAt(block, 345, 155) : ''
  const name = prefix === '' ? short : `${prefix}/${short}`
  const type = flag === '' || flag === '7' ? '0' : flag
  return {
    // Before 1988 a folder was a file whose name ends with a slash; readers still keep to it.
    type: type === '0' && name.endsWith('/') ? '5' : type,
    name,
    link: textAt(block, 157, 100),
    size: numberAt(block, 124, 12),
    sparse: type === 'S' && block[482] === 1,
  }
}

/** Nothing follows the header of links, folders, devices and pipes, whatever their size says. As Go and GNU tar read it. */
export function hasContent(type: string): boolean {
  return !'123456'.includes(type)
}

/**
 * The records of a PAX header, `length key=value\n` each. An empty value stands for itself.
 *
 * @throws SamovarError `backup-damaged`
 */
export function readRecords(content: Buffer): Map<string, string> {
  const records = new Map<string, string>()
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at)
    const length = Number(content.toString('latin1', at, space))
    const end = at + length
    const whole = space > at && Number.isSafeInteger(length) && end <= content.length && end > space + 1
    const record = whole ? content.toString('latin1', space + 1, end) : ''
    const equals = record.indexOf('=')
    if (equals < 1 || !record.endsWith('\n')) throw damaged('has a PAX header that cannot be read')
    records.set(record.slice(0, equals), record.slice(equals + 1, -1))
    at = end
  }
  return records
}

/** The size of a PAX record. @throws SamovarError `backup-damaged` */
export function readSize(text: string): number {
  const size = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(size)) throw damaged('has a PAX header whose size is not a number')
  return size
}

/** `./gitea/log/` -> `gitea/log`; the archive's own root is the empty name. */
export function plainName(name: string): string {
  return name
    .split('/')
    .filter((step) => step !== '' && step !== '.')
    .join('/')
}

/** A name as people read it. */
export function sayName(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8')
}

/** @param sentence begins with a verb */
export function damaged(sentence: string): SamovarError {
  return new SamovarError('backup-damaged', `The tar archive ${sentence}`)
}

function textAt(block: Buffer, at: number, bytes: number): string {
  const end = block.indexOf(0, at)
  return block.toString('latin1', at, end === -1 || end > at + bytes ? at + bytes : end)
}

/** Octal with spaces or zero bytes around it, or, with the first bit set, base 256 for what does not fit. */
function numberAt(block: Buffer, at: number, bytes: number): number {
  const first = block[at] as number
  if (first >= 0x80) {
    let number = first & 0x7f
    for (let next = at + 1; next < at + bytes; next++) number = number * 256 + (block[next] as number)
    if (!Number.isSafeInteger(number)) throw damaged('has a header with a number that is too large')
    return number
  }
  const text = textAt(block, at, bytes).trim()
  if (!/^[0-7]*$/.test(text)) throw damaged('has a header with a number that cannot be read')
  return Number.parseInt(text || '0', 8)
}

/** The sum of all bytes, with spaces where the checksum itself stands. */
function checksumOf(block: Buffer): number {
  let sum = 8 * 0x20
  for (let at = 0; at < blockBytes; at++) if (at < 148 || at >= 156) sum += block[at] as number
  return sum
}
