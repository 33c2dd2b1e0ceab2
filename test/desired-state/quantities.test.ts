import { describe, expect, test } from 'vitest'
import { parseDuration, parseSize } from '../../reconciler/desired-state/quantities.ts'
import { judgeTagPattern } from '../../reconciler/desired-state/tag-pattern.ts'
import { keyPath, nearest, quoted } from '../../reconciler/desired-state/wording.ts'

describe('durations', () => {
  test.each([
    ['90s', 90_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['3d', 259_200_000],
    ['250ms', 250],
    ['1d2h3m4s5ms', 93_784_005],
    ['0s', 0],
  ])('%s is %d ms', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds)
  })

  test.each(['', '5', 'm', '5x', '-5m', '1.5h', '30m1h', '5m5m', '5 m', '5M', '99999999d', '5m\n'])(
    '%j is none',
    (text) => {
      expect(parseDuration(text)).toBeNull()
    },
  )
})

describe('sizes', () => {
  test.each([
    ['500MiB', 524_288_000],
    ['2GB', 2e9],
    ['1TiB', 2 ** 40],
    ['10KB', 10_000],
    ['0B', 0],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  test.each(['', '5', '5mb', '1.5GB', '-1B', '5 MB', '5KiBs', '999999999999999TiB'])('%j is none', (text) => {
    expect(parseSize(text)).toBeNull()
  })
})

describe('patterns for tags', () => {
  test.each([
    '^\\d+\\.\\d+\\.\\d+$',
    '^v?\\d+(\\.\\d+)*(-alpine(\\d+\\.\\d+)?)?$',
    '^1\\.\\d*[02468]\\.\\d+-alpine$',
  ])('%s is fine', (pattern) => {
    expect(judgeTagPattern(pattern)).toBeNull()
  })

  test.each(['', '(', 'x'.repeat(201), '(a+)+$', '^(\\w|\\d)*$', '(x+x+)+y'])('%s is refused', (pattern) => {
    expect(judgeTagPattern(pattern)).not.toBeNull()
  })
})

describe('words', () => {
  test('a misspelt key finds the one that was meant, a strange one none', () => {
    const known = ['image', 'tag', 'health', 'update']
    expect(nearest('heatlh', known)).toBe('health')
    expect(nearest('Tag', known)).toBe('tag')
    expect(nearest('images', known)).toBe('image')
    expect(nearest('colour', known)).toBeNull()
    expect(nearest('x'.repeat(100_000), known)).toBeNull()
  })

  test('keys and values are shown short and on one line', () => {
    expect(keyPath(['health', 'checks', 0, 'json', 'a.b'])).toBe('health.checks[0].json["a.b"]')
    expect(keyPath([])).toBe('file')
    expect(quoted('a\nb')).toBe('`a\\u000ab`')
    expect(quoted('x'.repeat(1000)).length).toBeLessThan(70)
  })
})
