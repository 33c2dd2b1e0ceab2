import { colourWanted } from '../settings.ts'
import { printable } from '../wording.ts'

export { printable }

export type Colour = 'red' | 'green' | 'yellow' | 'blue' | 'dim' | 'bold'

/** Where a verb writes. With `--json` people's text goes to stderr, so that stdout holds one document. */
export type Console = {
  /** A line for people. */
  line(text?: string): void
  /** A line that is replaced by the next one; on a terminal only. */
  live(text: string): void
  /** A line about a problem: always on stderr. */
  problem(text: string): void
  /** The document of `--json`; does nothing without it. */
  document(value: unknown): void
  paint(colour: Colour, text: string): string
  json: boolean
  terminal: boolean
}

type Stream = { write(text: string): unknown; isTTY?: boolean; columns?: number }

const codes: Record<Colour, [number, number]> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  dim: [2, 22],
  bold: [1, 22],
}

export function openConsole(options: {
  json: boolean
  stdout?: Stream
  stderr?: Stream
  colour?: boolean
}): Console {
  const { json, stdout = process.stdout, stderr = process.stderr, colour = colourWanted() } = options
  const people = json ? stderr : stdout
  const terminal = people.isTTY === true
  let live = false
  const clear = () => {
    if (live) people.write('\r\x1b[2K')
    live = false
  }
  return {
    json,
    terminal,
    line(text = '') {
      clear()
      people.write(`${text}\n`)
    },
    live(text) {
      if (!terminal) return
      people.write(`\r\x1b[2K${cut(printable(text), (people.columns ?? 80) - 1)}`)
      live = true
    },
    problem(text) {
      clear()
      stderr.write(`${text}\n`)
    },
    document(value) {
      if (json) stdout.write(`${JSON.stringify(value, null, 2)}\n`)
    },
    paint(name, text) {
      const [on, off] = codes[name]
      return terminal && colour ? `\x1b[${on}m${text}\x1b[${off}m` : text
    },
  }
}

const cut = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 3))}...`
