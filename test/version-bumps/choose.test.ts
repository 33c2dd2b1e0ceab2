import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Choosing,
  chooseVersion,
  chooseVersions,
  explainTags,
} from '../../reconciler/version-bumps/choose.ts'
import { tagList } from './tag-lists.ts'

const choosing = (change: Partial<Choosing>): Choosing => ({
  image: 'docker.io/gitea/gitea',
  current: '1.22.6',
  tags: [],
  accept: 'major',
  pattern: null,
  isDatabaseServer: false,
  refused: new Set(),
  ...change,
})
const chosen = (change: Partial<Choosing>): string | null => chooseVersion(choosing(change))?.tag ?? null
const why = (change: Partial<Choosing>): Record<string, string> =>
  Object.fromEntries(explainTags(choosing(change)).map((each) => [each.tag, each.why]))

describe('the version that is proposed', () => {
  test.each<[string, string, string[], string | null]>([
    ['numbers, not texts', '18.9', ['18.10', '18.8'], '18.10'],
    ['numbers of any length', '1.0.9007199254740992', ['1.0.9007199254740993'], '1.0.9007199254740993'],
    ['nothing newer', '1.22.6', ['1.22.6', '1.22.5', '1.21.9'], null],
    ['the leading v stays', 'v1.2.3', ['1.2.9', 'v1.2.4'], 'v1.2.4'],
    ['no v comes', '1.2.3', ['v1.2.9', '1.2.4'], '1.2.4'],
    ['the suffix stays', '1.30.4-alpine', ['1.30.6', '1.30.6-alpine3.24', '1.30.5-alpine'], '1.30.5-alpine'],
    ['the base is part of the suffix', '18.6-alpine3.23', ['18.7-alpine3.24', '18.6-alpine3.24'], null],
    ['an architecture is a suffix', '1.2.3', ['1.2.4-linux-amd64', '1.2.4-arm64v8'], null],
    ['a shorter tag moves', '1.22.6', ['1', '2', '1.23', '2.0', '1.22'], null],
    ['a longer tag is another counting', '1.22', ['1.22.1', '1.23.4'], null],
    ['pre-releases', '1.22.6', ['1.23.0-rc0', '1.23.0-beta1', '1.23.0-dev', '1.23.0rc1', '1.24.0-m1'], null],
    [
      'a pre-release is followed within its suffix',
      '1.22.0-rc0',
      ['1.22.0', '1.22.1', '1.23.0-rc1', '1.23.0-rc0'],
      '1.23.0-rc0',
    ],
    [
      'words and signatures',
      '1.22.6',
      ['latest', 'nightly', 'main', `sha256-${'9'.repeat(64)}`, '9abcdef'],
      null,
    ],
    ['four parts', '1.2.3.4', ['1.2.3.10', '1.2.4'], '1.2.3.10'],
    ['five parts are no version', '1.2.3', ['1.2.3.4.5'], null],
    ['one part', '41', ['42', '43-alpine'], '42'],
    ['a calendar', '2026.04.1', ['2026.03.9', '2026.10.0', '2026.4.1'], '2026.10.0'],
    ['a leading zero is no difference', '2026.04.1', ['2026.4.1', '2026.04.01'], null],
    ["of two spellings the file's own", '2026.04.1', ['2026.5.0', '2026.05.0'], '2026.05.0'],
    ['a counting without leading zeros gets none', '1.2.3', ['1.2.04', '01.3.0'], null],
    ['a build of a day is no major', '2.4.1', ['20231107.1.0', '2023.11.7'], null],
    ['a tag that is no version', 'latest', ['1.22.6', 'latest'], null],
    ['a glued pre-release is no version', '19beta3', ['19beta4', '19.1'], null],
    ['tags twice', '1.22.6', ['1.22.7', '1.22.7'], '1.22.7'],
    ['no tag at all', '1.22.6', [], null],
  ])('%s', (_, current, tags, expected) => {
    expect(chosen({ current, tags })).toBe(expected)
  })

  test.each<[Choosing['accept'], string | null, string | null]>([
    ['patch', '1.22.9', null],
    ['minor', '1.25.0', '18.7'],
    ['major', '2.0.1', '19.1'],
    ['digest', null, null],
  ])('accept: %s bounds the step', (accept, three, two) => {
    expect(chosen({ accept, tags: ['1.22.9', '1.25.0', '2.0.1'] })).toBe(three)
    expect(chosen({ accept, current: '18.6', tags: ['18.7', '19.1'] })).toBe(two)
  })

  test('each step is named', () => {
    const tags = ['1.22.9', '1.25.0', '2.0.1']
    expect(chooseVersions(choosing({ tags }))).toEqual([
      { tag: '2.0.1', step: 'major' },
      { tag: '1.25.0', step: 'minor' },
      { tag: '1.22.9', step: 'patch' },
    ])
  })

  test.each([
    'docker.io/library/postgres',
    'docker.io/postgis/postgis',
    'docker.io/timescale/timescaledb',
    'docker.io/pgvector/pgvector',
    'registry.example.com:5000/mirror/postgres',
  ])('%s: a new major never comes the ordinary way, a bug fix does as a patch', (image) => {
    expect(
      chooseVersion(choosing({ image, current: '18.6', tags: ['19.1', '18.7'], accept: 'patch' })),
    ).toEqual({
      tag: '18.7',
      step: 'patch',
    })
    expect(chosen({ image, current: '18.6', tags: ['19.1'] })).toBe(null)
    expect(why({ image, current: '18.6', tags: ['19.1'] })['19.1']).toContain('a new major of PostgreSQL')
  })

  test('a service that holds databases of others is a PostgreSQL server, whatever its image is called', () => {
    const image = 'registry.example.com/team/database'
    expect(chosen({ image, current: '17.2', tags: ['18.1'], isDatabaseServer: true })).toBe(null)
    expect(chosen({ image, current: '17.2', tags: ['18.1'] })).toBe('18.1')
  })

  test('an exporter for PostgreSQL is no PostgreSQL', () => {
    const image = 'docker.io/prometheuscommunity/postgres-exporter'
    expect(chosen({ image, current: 'v0.20.1', tags: ['v1.0.0'] })).toBe('v1.0.0')
  })

  test.each(['docker.io/library/nginx', 'docker.io/nginxinc/nginx-unprivileged'])(
    '%s: stable stays stable',
    (image) => {
      const tags = ['1.30.5', '1.31.4', '1.32.0', '1.33.1']
      expect(chosen({ image, current: '1.30.4', tags })).toBe('1.32.0')
      expect(chosen({ image, current: '1.31.3', tags })).toBe('1.33.1')
      expect(why({ image, current: '1.30.4', tags })['1.31.4']).toBe('nginx mainline, the other line')
    },
  )

  test('the pattern of the policy leaves out what it does not match', () => {
    expect(chosen({ pattern: '^1\\.22\\.\\d+$', tags: ['1.22.7', '1.23.0'] })).toBe('1.22.7')
    expect(chosen({ pattern: '(', tags: ['1.22.7'] })).toBe(null)
  })

  test('a refused version is passed over for the next one', () => {
    expect(chosen({ tags: ['1.22.7', '1.22.8'], refused: new Set(['1.22.8']) })).toBe('1.22.7')
  })

  test('why a tag is left out is said for every tag that is', () => {
    const tags = [
      '1.22.7',
      '1.22.6',
      '1.22.5',
      'v1.22.8',
      '1.23',
      '1.22.7.1',
      '1.23.0-rc0',
      '1.22.8-rootless',
      'latest',
      '2.0.0',
    ]
    expect(why({ tags, accept: 'minor' })).toEqual({
      '1.22.6': 'the current version',
      '1.22.5': 'below the current version',
      'v1.22.8': 'the leading v differs',
      '1.23': 'fewer parts: such a tag moves',
      '1.22.7.1': 'more parts than the current tag',
      '1.23.0-rc0': 'a pre-release',
      '1.22.8-rootless': 'another suffix than none',
      latest: 'no version',
      '2.0.0': 'a major step, the policy accepts minor',
    })
    expect(why({ current: 'latest', tags: ['1.0'] })['1.0']).toContain('latest is no version')
  })

  test('50,000 tags are judged in well under a second', () => {
    const tags = Array.from({ length: 50_000 }, (_, at) => `1.${at}.0`)
    const started = performance.now()
    expect(chosen({ tags, pattern: '^\\d+\\.\\d+\\.\\d+$' })).toBe('1.49999.0')
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})

/** Written anew, so that it does not share a mistake with what is tested: the parts of a tag as texts. */
const taken = (tag: string): { prefix: string; parts: string[]; suffix: string } => {
  const [numbers = '', ...rest] = tag.replace(/^v/, '').split('-')
  return { prefix: tag.startsWith('v') ? 'v' : '', parts: numbers.split('.'), suffix: rest.join('-') }
}
const width = 40
const comparable = (tag: string): string =>
  taken(tag)
    .parts.map((part) => part.padStart(width, '0'))
    .join('.')
const finished = /(rc|beta|alpha|dev|nightly|edge|main|snapshot|canary|preview|pre|[-\d]m\d)/i

test('10,000 lists of tags never lead down, to a pre-release, to another suffix or to a tag that moves', () => {
  const accepts = fc.constantFrom<Choosing['accept'][]>('patch', 'minor', 'major', 'digest')
  let moved = 0
  fc.assert(
    fc.property(tagList, accepts, (list, accept) => {
      const choices = chooseVersions(choosing({ ...list, accept }))
      const current = taken(list.current)
      for (const { tag, step } of choices) {
        moved += 1
        const version = taken(tag)
        expect(list.tags).toContain(tag)
        expect(tag).toMatch(/^v?\d+(\.\d+){0,3}(-[\w.-]+)?$/)
        expect(comparable(tag) > comparable(list.current), `${list.current} -> ${tag}`).toBe(true)
        expect(finished.test(tag), `${list.current} -> ${tag}`).toBe(false)
        expect([version.prefix, version.suffix, version.parts.length], `${list.current} -> ${tag}`).toEqual([
          current.prefix,
          current.suffix,
          current.parts.length,
        ])
        const same = version.parts.findIndex((part, at) => BigInt(part) !== BigInt(current.parts[at] ?? '0'))
        if (accept === 'patch' && !list.image.endsWith('/postgres')) expect(same).toBe(2)
        if (accept !== 'major' || list.image.endsWith('/postgres')) expect(same).toBeGreaterThan(0)
        if (same === 0) expect(step).toBe('major')
        if (list.image.endsWith('/nginx'))
          expect(Number(version.parts[1]) % 2).toBe(Number(current.parts[1]) % 2)
      }
      const texts = choices.map(({ tag }) => comparable(tag))
      expect(texts).toEqual(texts.toSorted().toReversed())
      if (accept === 'digest') expect(choices).toEqual([])
      // Whatever is left out has a reason, so nothing is lost without a word.
      const explained = explainTags(choosing({ ...list, accept })).length
      expect(explained + choices.length).toBe(new Set(list.tags).size)
    }),
    { numRuns: 10_000 },
  )
  expect(moved).toBeGreaterThan(5_000)
})
