import fc from 'fast-check'

/** Names of images with the current tag and what their registries list: shapes as they are published. */
export type TagList = { image: string; current: string; tags: string[] }

/** Mostly the newest few numbers, so that many tags of a list are near the current one. */
const number = (most: number) =>
  fc
    .oneof(
      { weight: 4, arbitrary: fc.integer({ min: Math.max(0, most - 3), max: most }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: most }) },
    )
    .map(String)
const joined = (...parts: fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
  fc.tuple(...parts).map((texts) => texts.join(''))
const one = (...texts: string[]) => fc.constantFrom(...texts)
const dot = fc.constant('.')
const dash = fc.constant('-')

const digits = fc.integer({ min: 0, max: 9 }).map(String)
const noise = fc.oneof(
  one(
    'latest',
    'nightly',
    'edge',
    'main',
    'stable',
    'mainline',
    'lts',
    'current',
    'dev',
    'canary',
    'v',
    '1.',
    '-1',
    '',
  ),
  fc.stringMatching(/^sha256-[0-9a-f]{64}(\.sig|\.att)?$/),
  fc.stringMatching(/^main-[0-9a-f]{7}(-amd64)?$/),
  fc.stringMatching(/^[0-9a-f]{7,12}$/),
  fc.stringMatching(/^20[0-9]{6}(\.[0-9]{1,2}){0,2}$/),
  joined(one('amd64-v', 'arm64v8-v'), number(6), dot, number(9), dot, number(9)),
  fc.string({ maxLength: 12 }),
)
const early = one(
  '-rc0',
  '-rc.1',
  '-rc1',
  '-beta',
  '-beta2',
  '-alpha.1',
  '-dev',
  '-nightly',
  '-snapshot',
  '-pre',
  '-m1',
  '-canary',
  '-preview.2',
)
const glued = one('rc1', 'beta3', 'alpha1', 'b2', 'M1')

const three = (major: number, minor: number) => joined(number(major), dot, number(minor), dot, number(30))
const two = (major: number, minor: number) => joined(number(major), dot, number(minor))
/** Versions, their floating parents, pre-releases and variants. */
const published = (full: fc.Arbitrary<string>, floating: fc.Arbitrary<string>, suffixes: string[]) =>
  fc.oneof(
    { weight: 6, arbitrary: joined(full, one('', '', ...suffixes)) },
    { weight: 2, arbitrary: joined(floating, one('', ...suffixes)) },
    { weight: 1, arbitrary: joined(full, early, one('', ...suffixes)) },
    { weight: 1, arbitrary: joined(floating, early) },
    { weight: 1, arbitrary: joined(full, glued, one('', ...suffixes)) },
    { weight: 1, arbitrary: joined(one('v'), full) },
    { weight: 1, arbitrary: joined(full, dot, digits) },
    { weight: 1, arbitrary: joined(full, dash, one('amd64', 'linux-amd64', 'arm64v8', 'linux-arm64')) },
    { weight: 2, arbitrary: noise },
  )

const alpine = ['-alpine', '-alpine3.23', '-alpine3.24']
const kinds: { image: string; current: fc.Arbitrary<string>; tags: fc.Arbitrary<string> }[] = [
  {
    image: 'docker.io/gitea/gitea',
    current: joined(three(2, 30), one('', '-rootless')),
    tags: published(three(2, 30), fc.oneof(two(2, 30), number(2)), ['-rootless', '-linux-amd64']),
  },
  {
    image: 'docker.io/library/postgres',
    current: joined(two(19, 12), one('', ...alpine, '-bookworm', '-trixie')),
    tags: published(two(19, 12), number(19), [...alpine, '-bookworm', '-trixie']),
  },
  {
    image: 'docker.io/library/nginx',
    current: joined(one('1.'), number(33), dot, number(8), one('', ...alpine, '-perl', '-otel')),
    tags: published(three(1, 33), fc.oneof(two(1, 33), number(1)), [
      ...alpine,
      '-perl',
      '-otel',
      '-alpine-slim',
    ]),
  },
  {
    image: 'docker.io/grafana/grafana',
    current: joined(three(14, 5), one('', '-ubuntu', '-slim')),
    tags: published(three(14, 5), two(14, 5), ['-ubuntu', '-slim', '-distroless', '-12345']),
  },
  {
    image: 'docker.io/library/node',
    current: joined(three(26, 20), one('', ...alpine, '-slim', '-trixie')),
    tags: published(three(26, 20), fc.oneof(two(26, 20), number(26)), [
      ...alpine,
      '-slim',
      '-trixie',
      '-trixie-slim',
    ]),
  },
  {
    image: 'ghcr.io/google/cadvisor',
    current: joined(one('', 'v'), one('0.'), number(60), dot, number(5)),
    tags: published(three(0, 60), two(0, 60), ['-amd64', '-arm64']),
  },
  {
    image: 'docker.io/prom/prometheus',
    current: joined(one('v'), three(4, 60), one('', '-busybox')),
    tags: joined(one('', 'v'), published(three(4, 60), number(3), ['-busybox', '-distroless'])),
  },
  {
    image: 'registry.example.com/team/calendar',
    current: joined(one('2025', '2026'), one('.01', '.04', '.10', '.4'), dot, number(3)),
    tags: published(
      joined(one('2025', '2026', '2027'), one('.01', '.04', '.4', '.12'), dot, number(9)),
      two(2027, 12),
      [],
    ),
  },
]

export const tagList: fc.Arbitrary<TagList> = fc.constantFrom(...kinds).chain(({ image, current, tags }) =>
  fc.record({
    image: fc.constant(image),
    current,
    tags: fc.array(tags, { minLength: 5, maxLength: 60, size: 'max' }),
  }),
)
