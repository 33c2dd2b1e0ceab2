import { describe, expect, test } from 'vitest'
import { openConsole } from '../../reconciler/cli/console.ts'
import { pullInWords } from '../../reconciler/cli/progress.ts'
import { table } from '../../reconciler/cli/table.ts'
import { ago, bytes, sentenceAndNext, spent, startsIn, versionInWords } from '../../reconciler/cli/wording.ts'
import { waitingWords } from '../../reconciler/health/waiting-words.ts'

const stream = (isTTY: boolean) => {
  const written: string[] = []
  return {
    isTTY,
    columns: 40,
    write: (text: string) => void written.push(text),
    text: () => written.join(''),
  }
}

describe('where a verb writes', () => {
  test('with --json stdout holds one document and people read stderr', () => {
    const [stdout, stderr] = [stream(false), stream(false)]
    const console = openConsole({ json: true, stdout, stderr })
    console.line('in sync')
    console.document({ commit: 'abc' })
    expect(JSON.parse(stdout.text())).toEqual({ commit: 'abc' })
    expect(stderr.text()).toBe('in sync\n')
  })

  test('without --json there is no document', () => {
    const [stdout, stderr] = [stream(false), stream(false)]
    const console = openConsole({ json: false, stdout, stderr })
    console.document({ commit: 'abc' })
    console.line('in sync')
    expect(stdout.text()).toBe('in sync\n')
  })

  test('colour is for terminals, and not for those who set NO_COLOR', () => {
    const paint = (isTTY: boolean, colour: boolean) =>
      openConsole({ json: false, stdout: stream(isTTY), stderr: stream(isTTY), colour }).paint('red', 'x')
    expect([paint(true, true), paint(true, false), paint(false, true)]).toEqual([
      '\x1b[31mx\x1b[39m',
      'x',
      'x',
    ])
  })

  test('a live line is rewritten on a terminal, cut to its width, and never reaches a file', () => {
    const [terminal, file] = [stream(true), stream(false)]
    const long = `pulling ${'x'.repeat(100)}`
    openConsole({ json: false, stdout: file, stderr: file }).live(long)
    expect(file.text()).toBe('')
    const console = openConsole({ json: false, stdout: terminal, stderr: terminal })
    console.live(long)
    console.line('done')
    expect(terminal.text()).toBe(`\r\x1b[2K${long.slice(0, 36)}...\r\x1b[2Kdone\n`)
  })
})

describe('words', () => {
  test('columns stand below each other, also when a cell is painted', () => {
    const red = (text: string) => `\x1b[31m${text}\x1b[39m`
    expect(
      table(
        ['SERVICE', 'STATE', 'SINCE'],
        [[{ text: 'web' }, { text: 'stuck', paint: red }, { text: '2 h' }]],
      ),
    ).toEqual(['SERVICE  STATE  SINCE', 'web      \x1b[31mstuck\x1b[39m  2 h'])
  })

  test('times are as long as they are of use', () => {
    expect([36, 420, 12_345, 303_000, 7_800_000, 273_600_000].map(spent)).toEqual([
      '36 ms',
      '0.4 s',
      '12 s',
      '5 min 3 s',
      '2 h 10 min',
      '3 d 4 h',
    ])
    expect([ago(0, 500), ago(0, 61_000), ago(0, 303_000), ago(0, 7_800_000)]).toEqual([
      'just now',
      '61 s ago',
      '5 min ago',
      '2 h ago',
    ])
  })

  test('bytes are counted as docker counts them', () => {
    expect([999, 12_300, 123_456_789, 4_200_000_000].map(bytes)).toEqual([
      '999 B',
      '12.3 kB',
      '123 MB',
      '4.2 GB',
    ])
  })

  test('a version is its tag and enough of its digest', () => {
    expect(versionInWords({ tag: '1.0.0', digest: `sha256:${'ab'.repeat(32)}` })).toBe('1.0.0 (abababab)')
    expect(versionInWords({ tag: '', digest: '' })).toBe('unknown')
    expect(versionInWords(null)).toBe('nothing')
  })

  test('what is held says how long it is until it starts', () => {
    expect(startsIn(7_800_000, 0)).toBe(' (starts in 2 h 10 min)')
    expect(startsIn('1970-01-03T00:00:00.000Z', 0)).toBe(' (starts in 2 d)')
    expect([startsIn(1_000, 0), startsIn(null, 0)]).toEqual([' (starts within a minute)', ''])
  })

  test('a hold reason is taken apart into what is and what to do', () => {
    expect(sentenceAndNext('paused by a person; next: samovar resume web')).toEqual({
      sentence: 'paused by a person',
      next: 'samovar resume web',
    })
    expect(sentenceAndNext('waits')).toEqual({ sentence: 'waits', next: null })
  })

  test('a pull tells bytes and layers, a wait tells the check and what it said', () => {
    const seen = { bytes: 20_000_000, total: 50_000_000, layersDone: 1, layers: 3 }
    expect(pullInWords(seen, { began: performance.now() - 2_000, from: 0 })).toMatch(
      /^pulling 20\.0 MB of 50\.0 MB, (10\.0|9\.9) MB\/s, 1 of 3 layers$/,
    )
    const inWords = waitingWords()
    const http = 'http https://git.example.com'
    const both = { ms: 0, waitingFor: [http, 'container web'] }
    expect(
      inWords({ ...both, check: http, ok: false, said: 'HTTP 502 (https://git.example.com), expected 200' }),
    ).toBe(`waiting for ${http}: HTTP 502, expected 200; container web`)
    expect(inWords({ ms: 0, waitingFor: [http], check: 'container web', ok: true, said: 'running' })).toBe(
      `waiting for ${http}: HTTP 502, expected 200`,
    )
    expect(inWords({ ms: 0, waitingFor: [], check: http, ok: true, said: 'HTTP 200' })).toBe(
      'all checks pass',
    )
  })
})
