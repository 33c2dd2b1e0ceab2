import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { block, code } from '../../reconciler/gitea/markdown.ts'

const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...[
          '`',
          '``',
          '```',
          '~~~',
          '|',
          '\\',
          '\\|',
          '\n',
          '\r\n',
          '\t',
          ' ',
          '@alice',
          '<img src=x>',
          '-->',
        ],
        ...[
          '![x](https://example.com/x.png)',
          '#1',
          '\u202e',
          '\u200b',
          '\u0000',
          '\u001b[31m',
          '\ud83d',
          '😀',
        ],
      ),
      fc.string({ unit: 'binary', maxLength: 12 }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.join(''))

/** By the rules of CommonMark: it ends at the first run of as many backticks as it began with. */
function spanOf(markdown: string): { inside: string; after: string } {
  const fence = /^`+/.exec(markdown)?.[0] ?? ''
  for (const run of markdown.slice(fence.length).matchAll(/`+/g)) {
    if (run[0].length !== fence.length) continue
    const end = fence.length + run.index
    return { inside: markdown.slice(fence.length, end), after: markdown.slice(end + fence.length) }
  }
  throw new Error('it never ends')
}

/** As Gitea splits a row: at each `|` without a backslash before it. */
const cellsOf = (row: string): string[] => row.split(/(?<!\\)\|/)
const unseen = /[\p{Cc}\p{Cf}\p{Cs}]/u

describe('text of others as code', () => {
  test('is one code span, whatever is in it, and one cell of a table', () => {
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 60 }), (text, longest) => {
        const span = code(text, longest)
        if (span === '') return
        expect(spanOf(span).after).toBe('')
        expect(span).not.toMatch(/[\r\n]/)
        expect(span).not.toMatch(unseen)
        expect(cellsOf(`| ${span} | after |`)).toHaveLength(4)
        expect(spanOf(span).inside.replaceAll('\\|', '|').length).toBeLessThanOrEqual(longest + 2)
      }),
      { numRuns: 3_000 },
    )
  })

  test('is one block, whatever is in it', () => {
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 200 }), (text, longest) => {
        const lines = block(text, longest).split('\n')
        const fence = (lines[0] ?? '').slice(0, -'text'.length)
        expect(fence).toMatch(/^`{3,}$/)
        const closing = lines.findIndex(
          (line, at) => at > 0 && new RegExp(`^ {0,3}\`{${fence.length},} *$`).test(line),
        )
        expect(closing).toBe(lines.length - 1)
        expect(lines.slice(1).join('')).not.toMatch(unseen)
      }),
      { numRuns: 3_000 },
    )
  })

  test.each([
    ['fatal: `no` database', '``fatal: `no` database``'],
    ['`x`', '`` `x` ``'],
    ['a | b', '`a \\| b`'],
    ['@alice <img src=x onerror=y>', '`@alice <img src=x onerror=y>`'],
    ['two\n  lines', '`two lines`'],
    ['\u202eevil\u200b\u0007', '`evil`'],
    ['  \n', ''],
  ])('%j is %j', (text, expected) => {
    expect(code(text)).toBe(expected)
  })

  test('is cut where it is too long, and never within a character', () => {
    expect(code('x'.repeat(300))).toBe(`\`${'x'.repeat(199)}…\``)
    expect(code(`${'x'.repeat(8)}😀😀`, 10)).toBe(`\`${'x'.repeat(8)}…\``)
    expect(block(`${'x'.repeat(8)}😀😀`, 10)).toBe(`\`\`\`text\n${'x'.repeat(8)}…\n\`\`\``)
  })

  test('keeps its lines in a block', () => {
    expect(block('one\r\n\ttwo\n```\nthree')).toBe('````text\none\n    two\n```\nthree\n````')
  })
})
