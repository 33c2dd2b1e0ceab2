import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crossReferences } from '../../reconciler/desired-state/cross-references.ts'
import { readDesiredState } from '../../reconciler/desired-state/read.ts'
import { largestFile } from '../../reconciler/desired-state/repository-file.ts'
import { checkSchema } from '../../reconciler/desired-state/schema-check.ts'
import { parseYamlFile } from '../../reconciler/desired-state/yaml-file.ts'
import { findingLine } from '../../reconciler/desired-state.ts'
import { checkout, goodHost, goodService, linesOf } from './checkout.ts'

const host = 'desired-state/host.yaml'
const gitea = 'desired-state/services/gitea.yaml'

async function linesAt(root: string): Promise<string[]> {
  return (await readDesiredState({ root })).findings.map(findingLine)
}

describe('files that are not read', () => {
  test('a missing or empty desired state is a finding, never an empty plan', async () => {
    expect(await linesOf({ [host]: null })).toEqual([
      `${host}:1:1: file: is missing, expected a file with name, project and compose`,
    ])
    expect(await linesOf({ [gitea]: null })).toEqual([
      'desired-state/services:1:1: file: holds no service, expected a file NAME.yaml with image and tag for each Compose service',
    ])
    await using place = await checkout({ [host]: null, [gitea]: null })
    expect(await linesAt(place.root)).toEqual([
      'desired-state:1:1: file: does not exist in the repository, expected a folder with host.yaml',
    ])
    expect(await linesAt(join(place.root, 'nowhere'))).toHaveLength(1)
  })

  test('a FIFO, a folder and a device are refused at once', async () => {
    await using place = await checkout({ [host]: null })
    execFileSync('mkfifo', [join(place.root, host)])
    await mkdir(join(place.root, 'desired-state/services/folder.yaml'))
    await symlink('/dev/zero', join(place.root, 'desired-state/services/zero.yaml'))
    expect(await linesAt(place.root)).toEqual([
      `${host}:1:1: file: is not a regular file, expected a text file`,
      'desired-state/services/folder.yaml:1:1: file: is not a regular file, expected a text file',
      'desired-state/services/zero.yaml:1:1: file: leaves the repository, expected a file of the repository',
    ])
  })

  test('a link out of the repository is not followed, not even to something that looks right', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'samovar-outside-'))
    try {
      await writeFile(join(outside, 'host.yaml'), goodHost)
      await writeFile(join(outside, 'web.yaml'), goodService)
      await using place = await checkout({ [host]: null, '.git/config': 'token: hunter2\n' })
      await symlink(join(outside, 'host.yaml'), join(place.root, host))
      await symlink('../../.git/config', join(place.root, 'desired-state/services/git.yaml'))
      await symlink('loop.yaml', join(place.root, 'desired-state/services/loop.yaml'))
      await symlink('gone.yaml', join(place.root, 'desired-state/services/dangling.yaml'))
      expect(await linesAt(place.root)).toEqual([
        `${host}:1:1: file: leaves the repository, expected a file of the repository`,
        'desired-state/services/dangling.yaml:1:1: file: does not exist in the repository',
        'desired-state/services/git.yaml:1:1: file: lies in .git, expected a file of the repository',
        'desired-state/services/loop.yaml:1:1: file: is a link that leads in a circle or was exchanged while it was read',
      ])
      await using other = await checkout({ [gitea]: null })
      await symlink(outside, join(other.root, 'desired-state/services'))
      expect(await linesAt(other.root)).toContain(
        'desired-state/services:1:1: file: leaves the repository, expected a folder of the repository',
      )
    } finally {
      await rm(outside, { recursive: true })
    }
  })

  test('a link inside the repository works', async () => {
    await using place = await checkout()
    await symlink('gitea.yaml', join(place.root, 'desired-state/services/second.yaml'))
    const { state } = await readDesiredState({ root: place.root })
    expect(Object.keys(state?.services ?? {})).toEqual(['gitea', 'second'])
  })

  test('a Compose file that is a link out of the repository is a finding', async () => {
    await using place = await checkout({ 'compose/compose.yaml': null })
    await mkdir(join(place.root, 'compose'))
    await symlink('/etc/hostname', join(place.root, 'compose/compose.yaml'))
    expect(await linesAt(place.root)).toEqual([
      `${host}:3:11: compose[0]: compose/compose.yaml leaves the repository, expected a Compose file`,
    ])
  })

  test('a file over 1 MiB is refused, one of 1 MiB is read', async () => {
    const padded = (bytes: number) => `${goodService}#`.padEnd(bytes, 'x')
    expect(await linesOf({ [gitea]: padded(largestFile) })).toEqual([])
    expect(await linesOf({ [gitea]: padded(largestFile + 1) })).toEqual([
      `${gitea}:1:1: file: is larger than 1 MiB (1048577 bytes)`,
    ])
  })

  test('what is not UTF-8 is refused with the line, without showing it', async () => {
    const bytes = Buffer.concat([Buffer.from('image: a\ntag: hunter2'), Buffer.from([0xff, 0xfe, 10])])
    expect(await linesOf({ [gitea]: bytes })).toEqual([
      `${gitea}:1:1: file: is not valid UTF-8 (line 2), expected a text file in UTF-8`,
    ])
    expect(await linesOf({ [gitea]: Buffer.from(goodService, 'utf16le') })).not.toEqual([])
  })

  test('a file that would be overlooked by its name is a finding', async () => {
    const lines = await linesOf({
      'desired-state/services/gitea.yml': goodService,
      'desired-state/services/-x.yaml': goodService,
      'desired-state/services/te e.yaml': goodService,
      'desired-state/services/README.md': 'notes',
      'desired-state/services/.gitea.yaml.swp': 'x',
      'desired-state/gitea.yaml': goodService,
    })
    expect(lines).toEqual([
      'desired-state/gitea.yaml:1:1: file: is not read, expected host.yaml and services/*.yaml',
      'desired-state/services/-x.yaml:1:1: file: is not named after a Compose service, expected letters, digits, dots, - and _ before .yaml',
      'desired-state/services/gitea.yml:1:1: file: is not read, expected a name that ends in .yaml',
      'desired-state/services/te e.yaml:1:1: file: is not named after a Compose service, expected letters, digits, dots, - and _ before .yaml',
    ])
  })
})

/** A file of nearly 1 MiB that repeats one text. */
const full = (text: string) => text.repeat(Math.floor((largestFile - 100) / text.length))

/** Each level names the one before ten times: a hundred thousand million values in 400 bytes. */
const levels = (first: string, next: (name: string) => string) =>
  `x-0: &a0 ${first}\n${Array.from({ length: 11 }, (_, index) => `x-${index + 1}: &a${index + 1} ${next(`*a${index}`)}\n`).join('')}`

const bombs: Record<string, string> = {
  'billion laughs': levels('[x]', (name) => `[${Array(10).fill(name).join(',')}]`),
  'one large value merged again and again': `x-0: &a {k: [${'1,'.repeat(20_000)}1]}\nx-1:\n${'  - <<: *a\n'.repeat(5000)}`,
  'many different keys': Array.from({ length: 90_000 }, (_, index) => `k${index}: 1\n`).join(''),
  'one key again and again': full('a: 1\n'),
  'nothing but brackets': full('['),
  'nothing but braces': full('{a: '),
  'deep indentation': Array.from({ length: 1400 }, (_, index) => `${' '.repeat(index)}a:\n`).join(''),
  'nothing but commas': `[${full(',')}]`,
  'nothing but quotes': full('"'),
  'nothing but aliases': full('*a '),
  'nothing but anchors': full('&a '),
  'nothing but documents': full('---\n'),
  'aliases in quantity': `x-0: &a 1\nx-1: [${'*a,'.repeat(300_000)}1]\n`,
}

describe('files made to hurt', () => {
  test.each(Object.entries(bombs))('%s: refused within a few seconds', (_, text) => {
    const started = performance.now()
    const { yaml, findings } = parseYamlFile('f.yaml', goodService + text)
    expect(yaml).toBeNull()
    expect(findings.length).toBeGreaterThan(0)
    // Each takes a tenth of a second; without the limits some take minutes, some never end.
    expect(performance.now() - started).toBeLessThan(5000)
  })

  test('merges of merges are harmless, since equal keys fall together', () => {
    const text = levels('{ k: 1 }', (name) => `{ <<: [${Array(10).fill(name).join(',')}] }`)
    const { yaml, findings } = parseYamlFile('f.yaml', goodService + text)
    expect(findings).toEqual([])
    expect(yaml?.value).toMatchObject({ 'x-11': { k: 1 } })
  })

  test('hundred services that share an anchor are no bomb', async () => {
    const windows = Array.from({ length: 300 }, (_, index) => `  w${index}: *w\n`).join('')
    expect(
      await linesOf({ [host]: `${goodHost}x-w: &w { opens: "0 1 * * *", for: 1h }\nwindows:\n${windows}` }),
    ).toEqual([])
  })
})

describe('whatever is in a file', () => {
  const pieces = [
    'image',
    'tag',
    'compose',
    'windows',
    'jobs',
    'variables',
    'revert',
    'backup',
    'digest',
    'update',
    'health',
    'checks',
    'http',
    'tcp',
    'data',
    'volume',
    'x-a',
    '<<',
    '__proto__',
    ': ',
    ':',
    '- ',
    '\n',
    '\n  ',
    '\n    ',
    '\r\n',
    '{',
    '}',
    '[',
    ']',
    ',',
    '&a ',
    '*a',
    '!t ',
    '? ',
    '|',
    '>',
    '"',
    "'",
    '#',
    '1',
    '1.0',
    'true',
    'null',
    '~',
    '5m',
    'sha256:',
    '%YAML 1.1\n',
    '---\n',
    '...\n',
    '\t',
    '\uFEFF',
    '\u0000',
    '🫖',
    '\ud800',
  ]
  const anything = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.array(fc.constantFrom(...pieces), { maxLength: 60 }).map((parts) => parts.join('')),
    fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((parts) => goodService + parts.join('')),
    fc.json().map((json) => `image: a\ntag: 1.0.0\nhealth: ${json}\nupdate: ${json}\n`),
  )

  test('it comes back as findings with places inside the file, and nothing is thrown', () => {
    fc.assert(
      fc.property(anything, fc.constantFrom('host' as const, 'service' as const), (text, kind) => {
        const { yaml, findings } = parseYamlFile('f.yaml', text)
        expect(yaml === null).toBe(findings.length > 0)
        const lines = text.split('\n')
        for (const finding of yaml === null ? findings : checkSchema(kind, yaml).findings) {
          expect(finding.line).toBeGreaterThanOrEqual(1)
          expect(finding.line).toBeLessThanOrEqual(lines.length)
          expect(finding.column).toBeGreaterThanOrEqual(1)
          expect(finding.column).toBeLessThanOrEqual((lines[finding.line - 1] ?? '').length + 1)
          expect(findingLine(finding)).not.toMatch(/[\p{Cc}\u2028\u2029]/u)
        }
      }),
      { numRuns: 1500 },
    )
  })

  test('also on disk, in both files at once, and against the Compose model', async () => {
    await using place = await checkout()
    const compose = { services: { gitea: { profiles: [], volumes: [] } }, volumes: [] }
    const bytes = fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array))
    const hosts = fc.oneof(
      bytes,
      anything,
      anything.map((text) => goodHost + text),
    )
    await fc.assert(
      fc.asyncProperty(hosts, fc.oneof(bytes, anything), async (hostContent, serviceContent) => {
        await writeFile(join(place.root, host), hostContent)
        await writeFile(join(place.root, gitea), serviceContent)
        const { state, findings, draft, files } = await readDesiredState({ root: place.root })
        expect(state === null).toBe(findings.length > 0)
        crossReferences(draft, compose, files)
      }),
      { numRuns: 200 },
    )
  })
})

test('two hundred service files are read in well under a second', async () => {
  const names = Array.from({ length: 200 }, (_, index) => `desired-state/services/s${index}.yaml`)
  const text = `${goodService}update: { tags: '^\\d+\\.\\d+\\.\\d+$' }\nhealth: { checks: [{ http: "http://x/", json: { v: "{tag}" } }] }\n`
  await using place = await checkout(Object.fromEntries(names.map((name) => [name, text])))
  await readDesiredState({ root: place.root })
  const started = performance.now()
  const { state } = await readDesiredState({ root: place.root })
  console.log(`      200 service files: ${Math.round(performance.now() - started)} ms`)
  expect(Object.keys(state?.services ?? {})).toHaveLength(201)
})
