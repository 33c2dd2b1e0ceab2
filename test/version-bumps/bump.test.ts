import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { codeOf } from '../../reconciler/errors.ts'
import { bumpFile } from '../../reconciler/version-bumps/bump.ts'

const one = `sha256:${'1'.repeat(64)}`
const two = `sha256:${'2'.repeat(64)}`
const to = { tag: '1.22.7', digest: two }

describe('a version is written into a service file', () => {
  test.each<[string, string, string]>([
    ['plain', `image: a\ntag: 1.22.6 # c\ndigest: ${one}\n`, `image: a\ntag: 1.22.7 # c\ndigest: ${two}\n`],
    ['quotes stay', `tag: '1.22.6'\ndigest: "${one}"`, `tag: '1.22.7'\ndigest: "${two}"`],
    ['the digest first', `digest: ${one}\ntag: 1.22.6\n`, `digest: ${two}\ntag: 1.22.7\n`],
    ['CRLF', `tag: 1.22.6\r\ndigest: ${one}\r\n`, `tag: 1.22.7\r\ndigest: ${two}\r\n`],
    ['a byte order mark', `\uFEFFtag: 1.22.6\ndigest: ${one}`, `\uFEFFtag: 1.22.7\ndigest: ${two}`],
    ['flow', `{ tag: 1.22.6, digest: ${one} } # c\n`, `{ tag: 1.22.7, digest: ${two} } # c\n`],
    ['JSON', `{"tag":"1.22.6","digest":"${one}"}`, `{"tag":"1.22.7","digest":"${two}"}`],
    [
      'after a marker',
      `--- # c\ntag: 1.22.6\ndigest: ${one}\n...\n`,
      `--- # c\ntag: 1.22.7\ndigest: ${two}\n...\n`,
    ],
    [
      'a tag elsewhere',
      `x: { tag: 1.22.6 }\ntag: 1.22.6\ndigest: ${one}\n`,
      `x: { tag: 1.22.6 }\ntag: 1.22.7\ndigest: ${two}\n`,
    ],
  ])('%s: nothing but the two values changes', (_, before, after) => {
    expect(bumpFile(before, to)).toBe(after)
  })

  test.each<[string, string, string]>([
    [
      'after the tag',
      'image: a\ntag: 1.22.6\nupdate: {}\n',
      `image: a\ntag: 1.22.7\ndigest: ${two}\nupdate: {}\n`,
    ],
    ['after its comment', 'tag: 1.22.6 # "c"\n\n# d\n', `tag: 1.22.7 # "c"\ndigest: ${two}\n\n# d\n`],
    ['at the end', 'image: a\ntag: 1.22.6', `image: a\ntag: 1.22.7\ndigest: ${two}`],
    ['with CRLF', 'tag: 1.22.6\r\nimage: a\r\n', `tag: 1.22.7\r\ndigest: ${two}\r\nimage: a\r\n`],
    ['with CRLF at the end', 'image: a\r\ntag: 1.22.6', `image: a\r\ntag: 1.22.7\r\ndigest: ${two}`],
    ['with the indentation', '  image: a\n  tag: 1.22.6\n', `  image: a\n  tag: 1.22.7\n  digest: ${two}\n`],
    ['with a byte order mark', '\uFEFFtag: 1.22.6\n', `\uFEFFtag: 1.22.7\ndigest: ${two}\n`],
    [
      'with the quotes',
      '"image": \'a\'\n"tag":  \'1.22.6\'\n',
      `"image": 'a'\n"tag":  '1.22.7'\n"digest":  '${two}'\n`,
    ],
    ['in flow', '{ image: a, tag: 1.22.6, x-a: 1 }', `{ image: a, tag: 1.22.7, digest: ${two}, x-a: 1 }`],
    ['in JSON', '{"image":"a","tag":"1.22.6"}', `{"image":"a","tag":"1.22.7","digest":"${two}"}`],
  ])('a missing digest is added %s', (_, before, after) => {
    expect(bumpFile(before, to)).toBe(after)
  })

  test.each<[string, string, string]>([
    ['a line', `tag: 1.22.6\ndigest: ${one} # c\nimage: a\n`, 'tag: 1.22.7\nimage: a\n'],
    ['the last line', `tag: 1.22.6\r\ndigest: ${one}`, 'tag: 1.22.7'],
    ['in flow', `{ tag: 1.22.6, digest: ${one}, image: a }`, '{ tag: 1.22.7, image: a }'],
    ['first in flow', `{digest: ${one}, tag: 1.22.6}`, '{tag: 1.22.7}'],
  ])('a digest that is not wanted any more goes: %s', (_, before, after) => {
    expect(bumpFile(before, { tag: '1.22.7', digest: null })).toBe(after)
  })

  test('a file that never named a digest need not get one', () => {
    expect(bumpFile('tag: 1.22.6\n', { tag: '1.22.7', digest: null })).toBe('tag: 1.22.7\n')
  })

  test.each([
    ['tag: "18.5"\n', '18.6', 'tag: "18.6"\n'],
    ["tag: '18.5'\n", '18.6', "tag: '18.6'\n"],
    ['tag: 18.5-alpine\n', '18.6', 'tag: "18.6"\n'],
    ['tag: v1\n', '1e3', 'tag: "1e3"\n'],
    ['tag: v1\n', 'null', 'tag: "null"\n'],
  ])('%j: a tag never becomes a number or a word of YAML (%s)', (before, tag, after) => {
    expect(bumpFile(before, { tag, digest: null })).toBe(after)
    expect((parse(after) as { tag: unknown }).tag).toBe(tag)
  })

  test.each<[string, string, string]>([
    ['an alias', 'x-v: &v 1.22.6\ntag: *v\n', 'app.yaml:2:1: tag: is no text of its own'],
    ['an anchor', 'image: a\ntag: &v 1.22.6\nx-v: *v\n', 'app.yaml:2:1: tag: has an anchor (&)'],
    ['an anchored digest', `tag: 1.22.6\ndigest: &d ${one}\n`, 'app.yaml:2:1: digest: has an anchor'],
    ['merged in', 'x-a: &a { tag: 1.22.6 }\n<<: *a\n', 'app.yaml:1:1: tag: is not in the file itself'],
    ['missing', 'image: a\n', 'app.yaml:1:1: tag: is not in the file itself'],
    ['a number', 'tag: 18.5\n', 'app.yaml:1:1: tag: is no text of its own'],
    ['folded', 'image: a\ntag: >-\n  1.22.6\n', 'app.yaml:2:1: tag: spans several lines'],
    ['on the next line', 'tag:\n  "1.22.6\n  "\n', 'app.yaml:1:1: tag: spans several lines'],
    ['twice', 'tag: 1.22.5\ntag: 1.22.6\n', 'app.yaml:1:1: tag: stands here a second time'],
    ['no YAML', 'tag: [\n', 'file: cannot be read as YAML'],
    ['two documents', 'tag: 1.22.6\n---\ntag: 1.22.6\n', 'file: cannot be read as YAML'],
    ['a list', '- tag: 1.22.6\n', 'file: is no mapping'],
    [
      'with a type',
      'tag: !version 1.22.6\n',
      'app.yaml:1:15: tag: is written in a way that cannot be edited',
    ],
    ['empty', '', 'file: is no mapping'],
    ['behind a marker', '--- {}\n...\ntag: 1.22.6\n', 'file: cannot be read as YAML'],
  ])('%s: is refused with its place, and nothing is guessed', (_, text, message) => {
    const bump = () => bumpFile(text, to, 'app.yaml')
    expect(bump).toThrow(message)
    try {
      bump()
    } catch (error) {
      expect(codeOf(error)).toBe('desired-state-invalid')
    }
  })

  test.each(['', '1.2 # c', 'a\nb: c', '"', '1.2:', '-1'])('%j is no tag and never gets in', (tag) => {
    expect(() => bumpFile('tag: 1.22.6\n', { tag, digest: null })).toThrow('no tag')
  })

  test('what is no digest never gets in', () => {
    expect(() => bumpFile('tag: 1.22.6\n', { tag: '1', digest: 'sha256:1' })).toThrow('no digest')
  })
})

/** A line of the file that is neither the tag nor the digest. */
const otherLine = fc.constantFrom(
  'image: docker.io/gitea/gitea',
  'image:   "docker.io/gitea/gitea"    # where it comes from',
  '# tag: 1.0.0',
  '   # digest: sha256:0 — über ✓ 𝄞',
  '',
  '  ',
  "update: { policy: manual, tags: '^\\d+\\.\\d+$' } # tag: 9.9.9",
  'update:\n  accept: minor\n  # tag: 1\n  x-tag: { tag: 1.2.3, digest: "no" }',
  'x-note: |\n  tag: 0.0.1\n  digest: none\n\n  end',
  'x-folded: >-\n  tag: 1\n    # no comment',
  'x-base: &base { tag: 0.1.0 }\nx-other: { <<: *base }',
  "\"x-quoted \\\" tag\": 'it''s'",
  'health:\n    checks:\n    - { http: "http://127.0.0.1/{tag}" }\n    -   container: healthy',
  'data:\n- { volume: a, exclude: [ b,c ] }',
  '? x-long\n: value',
)
const gap = fc.constantFrom(' ', '  ', '     ')
const comment = fc.constantFrom('', ' # pinned', '   # tag: 1.2.3 "x" \'y\'', ' ', '\t# tab')
const quote = fc.constantFrom('', '"', "'")
const key = fc.constantFrom('', '"', "'")
const tagText = fc
  .tuple(
    fc.constantFrom('', 'v'),
    fc.array(fc.nat(3000), { minLength: 1, maxLength: 4 }),
    fc.constantFrom('', '-alpine', '-alpine3.24'),
  )
  .map(([prefix, parts, suffix]) => `${prefix}${parts.join('.')}${suffix}`)
const digestText = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`)
const quoted = (text: string, wanted: string): string => {
  const needed = wanted === '' && typeof parse(text) !== 'string' ? '"' : wanted
  return `${needed}${text}${needed}`
}

const file = fc.record({
  before: fc.uniqueArray(otherLine, { maxLength: 5, selector: (line) => line.slice(0, 6) }),
  between: fc.uniqueArray(fc.constantFrom('# between', '', 'x-between: [1, 2] # c'), { maxLength: 2 }),
  after: fc.uniqueArray(fc.constantFrom('x-end: { a: b }', '# end', '', 'x-last: "tag: 1"'), {
    maxLength: 3,
  }),
  digestFirst: fc.boolean(),
  mark: fc.constantFrom(
    '',
    '\uFEFF',
    '# yaml-language-server: $schema=a.json\n',
    '---\n',
    '%YAML 1.2\n---\n',
  ),
  newline: fc.constantFrom('\n', '\r\n'),
  lastNewline: fc.boolean(),
  tag: fc.record({ key, gap, quote, comment }),
  digest: fc.record({ key, gap, quote, comment }),
  values: fc.tuple(tagText, tagText, digestText, digestText),
})

test('1,000 files with comments keep every other byte', () => {
  fc.assert(
    fc.property(file, (drawn) => {
      const [fromTag, toTag, fromDigest, toDigest] = drawn.values
      const write = (tag: string, digest: string): string => {
        const pair = (name: 'tag' | 'digest', value: string): string => {
          const style = drawn[name]
          return `${style.key}${name}${style.key}:${style.gap}${value}${style.comment}`
        }
        const pairs = [
          pair('tag', quoted(tag, quoted(fromTag, drawn.tag.quote).startsWith('"') ? '"' : drawn.tag.quote)),
          pair('digest', quoted(digest, drawn.digest.quote)),
        ]
        const [first = '', second = ''] = drawn.digestFirst ? pairs.toReversed() : pairs
        const lines = [...drawn.before, first, ...drawn.between, second, ...drawn.after].join('\n')
        return `${drawn.mark}${lines}${drawn.lastNewline ? '\n' : ''}`.replaceAll('\n', drawn.newline)
      }
      const text = write(fromTag, fromDigest)
      const bumped = bumpFile(text, { tag: toTag, digest: toDigest })
      expect(bumped).toBe(write(toTag, toDigest))
      const value = (yaml: string) => parse(yaml, { merge: true }) as Record<string, unknown>
      expect(value(bumped)).toEqual({ ...value(text), tag: toTag, digest: toDigest })
    }),
    { numRuns: 1_000 },
  )
})
