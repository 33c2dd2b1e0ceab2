import { gather } from './gather.ts'
import {
  blockBytes,
  damaged,
  hasContent,
  readHeader,
  readRecords,
  readSize,
  type TarHeader,
} from './tar-header.ts'

export type TarEntry = Pick<TarHeader, 'type' | 'name' | 'link' | 'size'>

/** Names and labels, not data: no file system has names near it, so more is an attempt to fill the memory. */
const longestExtension = 1 << 20

/**
 * Follows an archive through its headers and passes on the entries that are kept: byte for byte, with the headers
 * that belong to them, also when they are spread over many pieces. Content is never held back, only headers are.
 *
 * @param keeps asked once per entry, in the order of the archive; may throw
 * @param push gets what is kept, in pieces of the pieces that were read
 * @returns `read` for every piece and `end` after the last one; both throw SamovarError `backup-damaged`
 */
export function followTar(
  keeps: (entry: TarEntry) => boolean,
  push: (bytes: Buffer) => void,
): { read(piece: Buffer): void; end(): void } {
  const gate = gateTo(push)
  const extensions = extensionHeaders()
  const collected = gather()
  let wanted = blockBytes
  let content = 0
  let zeroBlocks = 0

  const takeEntry = (header: TarHeader): void => {
    const entry = extensions.applyTo(header)
    if (keeps(entry)) gate.keep()
    else gate.drop()
    content = hasContent(entry.type) ? padded(entry.size) : 0
    if (header.sparse) take = takeHoles
  }
  const takeExtension = ({ type, size }: TarHeader): void => {
    if (size === 0 || size > longestExtension) throw damaged(`has a header with ${size} bytes of names`)
    if (type === 'g' && extensions.waiting()) throw damaged('has a header for all entries inside one entry')
    wanted = padded(size)
    take = (bytes) => {
      extensions.add(type, bytes.subarray(0, size))
      // What holds for all that follows stays, whatever becomes of the next entry.
      if (type === 'g') gate.keep()
      wanted = blockBytes
      take = takeHeader
    }
  }
  const takeHeader = (block: Buffer): void => {
    if (isZero(block)) {
      zeroBlocks++
      gate.keep()
      return
    }
    if (zeroBlocks > 0) throw damaged('goes on after a block of zeros, which marks its end')
    const header = readHeader(block)
    if ('xgLK'.includes(header.type)) takeExtension(header)
    else takeEntry(header)
  }
  const takeHoles = (block: Buffer): void => {
    if (block[504] !== 1) take = takeHeader
  }
  let take: (bytes: Buffer) => void = takeHeader

  return {
    read: (piece) => {
      gate.begin(piece)
      for (let at = 0; at < piece.length; ) {
        const inContent = take === takeHeader && content > 0
        if (take === takeHeader && !inContent) gate.hold(at)
        const step = Math.min(piece.length - at, inContent ? content : wanted - collected.bytes())
        if (inContent) content -= step
        else collected.add(piece.subarray(at, at + step))
        at += step
        if (collected.bytes() === wanted) take(collected.take(wanted))
        if (take === takeHeader && content === 0) gate.passOn(at)
      }
      gate.end()
    },
    end: () => {
      if (content > 0 || collected.bytes() > 0 || take !== takeHeader || extensions.waiting())
        throw damaged('is cut inside an entry')
      if (zeroBlocks < 2) throw damaged('is cut: the mark of its end is missing')
    },
  }
}

/** What the headers before an entry say about it: PAX records, of it (`x`) or of all (`g`), and long names of GNU tar. */
function extensionHeaders(): {
  add(type: string, content: Buffer): void
  applyTo(header: TarHeader): TarEntry
  waiting(): boolean
} {
  const ofAll = new Map<string, string>()
  const ofNext = new Map<string, string>()
  const longNames = new Map<string, string>()
  return {
    add: (type, content) => {
      if (type === 'L' || type === 'K') longNames.set(type, textOf(content))
      const target = type === 'g' ? ofAll : ofNext
      if (type === 'x' || type === 'g')
        for (const [key, value] of readRecords(content)) target.set(key, value)
      if (type === 'x') ofNext.set('x', '')
    },
    applyTo: (header) => {
      // An empty value takes a record of `g` back.
      const record = (key: string): string | undefined => (ofNext.get(key) ?? ofAll.get(key)) || undefined
      const size = record('size')
      const entry = {
        type: header.type,
        name: longNames.get('L') ?? record('GNU.sparse.name') ?? record('path') ?? header.name,
        link: longNames.get('K') ?? record('linkpath') ?? header.link,
        size: size === undefined ? header.size : readSize(size),
      }
      ofNext.clear()
      longNames.clear()
      return entry
    },
    waiting: () => ofNext.size > 0 || longNames.size > 0,
  }
}

/**
 * Lets bytes through, or not, in as few pieces as they allow. What is held is decided by `keep` or `drop`; what was
 * dropped goes on being dropped until `passOn`.
 */
function gateTo(push: (bytes: Buffer) => void) {
  let piece: Buffer = Buffer.alloc(0)
  /** Where that begins in the piece which is neither pushed nor dropped. */
  let from = 0
  /** Where the undecided begins in the piece, or null. */
  let undecided: number | null = null
  let dropping = false
  /** The undecided of earlier pieces. */
  let held: Buffer[] = []
  const pushUntil = (end: number): void => {
    if (end > from) push(piece.subarray(from, end))
  }
  return {
    begin: (next: Buffer): void => {
      piece = next
      from = 0
      if (undecided !== null) undecided = 0
    },
    hold: (at: number): void => {
      undecided ??= at
    },
    keep: (): void => {
      for (const bytes of held) push(bytes)
      held = []
      undecided = null
    },
    drop: (): void => {
      pushUntil(undecided ?? from)
      held = []
      undecided = null
      dropping = true
    },
    passOn: (at: number): void => {
      if (dropping) from = at
      dropping = false
    },
    end: (): void => {
      if (dropping) return
      pushUntil(undecided ?? piece.length)
      if (undecided !== null) held.push(piece.subarray(undecided))
    },
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes
}

const zeros = Buffer.alloc(blockBytes)

function isZero(block: Buffer): boolean {
  return block.equals(zeros)
}

/** GNU tar ends its long names with a zero byte. */
function textOf(content: Buffer): string {
  const end = content.indexOf(0)
  return content.toString('latin1', 0, end === -1 ? content.length : end)
}
