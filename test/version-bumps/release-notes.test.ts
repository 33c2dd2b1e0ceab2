import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { releaseNotesLink } from '../../reconciler/version-bumps/release-notes.ts'

const fromLabels = (labels: Record<string, string>, tag = 'v1.2.3-alpine'): string | null =>
  releaseNotesLink(tag, {
    template: null,
    labels: Object.fromEntries(
      Object.entries(labels).map(([name, text]) => [`org.opencontainers.image.${name}`, text]),
    ),
  })

describe('the link to the release notes', () => {
  test('is what the policy says, with the tag or the bare version', () => {
    const template = 'https://example.com/{tag}/notes#v{version}'
    expect(releaseNotesLink('v1.2.3-alpine', { template, labels: {} })).toBe(
      'https://example.com/v1.2.3-alpine/notes#v1.2.3',
    )
  })

  test.each<[string, Record<string, string>, string | null]>([
    [
      'a repository on GitHub',
      { source: 'https://github.com/a/b.git' },
      'https://github.com/a/b/releases?q=1.2.3&expanded=true',
    ],
    [
      'with its own version',
      { source: 'https://github.com/a/b', version: 'v1.2.3.4' },
      'https://github.com/a/b/releases?q=1.2.3.4&expanded=true',
    ],
    [
      'with a version that is none',
      { source: 'https://github.com/a/b', version: ')](x' },
      'https://github.com/a/b/releases?q=1.2.3&expanded=true',
    ],
    [
      'somewhere else',
      { source: 'https://example.com/a', url: 'https://b.example.com' },
      'https://example.com/a',
    ],
    [
      'the first that counts',
      { source: 'git@example.com:a', url: 'http://b.example.com', documentation: 'https://c.example.com/d' },
      'https://c.example.com/d',
    ],
    ['in plain', { source: 'http://example.com/' }, null],
    ['a script', { url: 'javascript:alert(1)' }, null],
    ['a login', { url: 'https://alice:secret@example.com/' }, null],
    ['endless', { url: `https://example.com/${'a'.repeat(500)}` }, null],
    ['none', {}, null],
  ])('from labels: %s', (_, labels, expected) => {
    expect(fromLabels(labels)).toBe(expected)
  })

  test('whatever a label says, the link is https and stays inside its brackets', () => {
    const path = fc.string({ maxLength: 60, unit: 'grapheme' })
    fc.assert(
      fc.property(path, fc.constantFrom('source', 'url'), (text, name) => {
        const link = fromLabels({ [name]: `https://example.com/${text}`, version: text })
        if (link !== null) expect(link).toMatch(/^https:\/\/example\.com\/[^\s()[\]<>"'`|\\*~!]*$/)
      }),
    )
  })
})
