import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { readDesiredState } from '../../reconciler/desired-state/read.ts'
import { checkout, goodHost, goodService, linesOf, readingOf } from './checkout.ts'
import { hostMistakes, serviceMistakes } from './mistakes.ts'

const host = 'desired-state/host.yaml'
const gitea = 'desired-state/services/gitea.yaml'

/** Each file with a mark at the margin, then what is said about it. */
async function report(path: string, files: string[]): Promise<string> {
  const parts = files.map(async (text) => {
    const lines = await linesOf({ [path]: text })
    return [
      ...JSON.stringify(text)
        .slice(1, -1)
        .split('\\n')
        .slice(0, -1)
        .map((line) => `  | ${line}`),
      ...lines,
    ].join('\n')
  })
  return `${(await Promise.all(parts)).join('\n\n')}\n`
}

describe('findings', () => {
  test('every mistake is named by its place and key, with what was expected', async () => {
    const text = `${await report(gitea, serviceMistakes)}\n\n${await report(host, hostMistakes)}`
    await expect(text).toMatchFileSnapshot('./findings.txt')
  })

  test('no mistake goes unnoticed', async () => {
    for (const text of serviceMistakes) expect(await linesOf({ [gitea]: text }), text).not.toEqual([])
    for (const text of hostMistakes) expect(await linesOf({ [host]: text }), text).not.toEqual([])
  })

  test('all findings of all files come at once, in the order of files and lines, and there is no state', async () => {
    const reading = await readingOf({
      [host]: `${goodHost}timezone: Nowhere\nwindows: { weekly: { opens: "15 3 * * 0", for: 2h } }\n`,
      [gitea]: `${goodService}update: { window: weakly }\nhealth: { checks: [{ tcp: 1 }] }\nheatlh: 1\n`,
      'desired-state/services/nginx.yaml': 'image: nginx\ntag: latest\n',
      'desired-state/services/broken.yaml': 'image: [\n',
    })
    expect(reading.state).toBeNull()
    expect(
      reading.findings.map(({ file, line, column, key }) => `${file}:${line}:${column}: ${key}`),
    ).toEqual([
      `${host}:4:11: timezone`,
      'desired-state/services/broken.yaml:2:1: file',
      `${gitea}:3:19: update.window`,
      `${gitea}:4:27: health.checks[0].tcp`,
      `${gitea}:5:1: heatlh`,
      'desired-state/services/nginx.yaml:2:6: tag',
    ])
  })

  test('a window that denies is not one to wait for: it is refused where a service names it', async () => {
    const windows = (text: string) => ({
      [host]: `${goodHost}windows: { exams: { opens: "0 8 23 11 *", for: 5d, kind: deny }${text} }\n`,
      [gitea]: `${goodService}update: { window: exams }\n`,
    })
    expect(await linesOf(windows(', weekly: { opens: "15 3 * * 0", for: 2h }'))).toEqual([
      `${gitea}:3:19: update.window: \`exams\` is a window that denies, which holds every service anyway, expected weekly`,
    ])
    expect(await linesOf(windows(''))).toEqual([
      `${gitea}:3:19: update.window: \`exams\` is a window that denies, which holds every service anyway, expected a window of kind allow under \`windows\` in host.yaml, which has none`,
    ])
  })

  test('a health check with a wrong key says just that', async () => {
    const text = `${goodService}health: { checks: [{ htpp: "http://x/", stauts: 200 }] }\n`
    expect(await linesOf({ [gitea]: text })).toEqual([
      `${gitea}:3:22: health.checks[0].htpp: is not a known key, did you mean \`http\`?`,
      `${gitea}:3:41: health.checks[0].stauts: is not a known key, did you mean \`status\`?`,
    ])
  })

  test('a fault in one key leads to no false conclusion about another', async () => {
    const text = `${goodService}data: [{ volum: a }]\nrevert: { data: restore }\nupdate: { window: weekly }\n`
    const reading = await readingOf({ [gitea]: text, [host]: `${goodHost}windows: 5\n` })
    expect(reading.findings.map(({ key }) => key)).toEqual(['windows', 'data[0].volum'])
  })

  test('a finding is one line without control characters, whatever stands in the file', async () => {
    const text = `${goodService}"a\\nb\\e[2J\\u202e": 1\ndigest: "\\r\\nok"\n`
    for (const line of await linesOf({ [gitea]: text })) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  test('a file that is wrong everywhere does not bury the others', async () => {
    const many = Array.from({ length: 5000 }, (_, index) => `k${index}: 1\n`).join('')
    const lines = await linesOf({ [host]: goodHost + many, [gitea]: 'image: a\ntag: latest\n' })
    expect(lines).toHaveLength(102)
    expect(lines[100]).toContain('has more findings than the 100 that are listed')
    expect(lines[101]).toContain('latest')
  })

  test('values of variables, headers, commands and webhooks never appear in a finding', async () => {
    const secrets = ['hunter2', '31337', 'tok3n', 'pa55']
    const lines = await linesOf({
      [host]: `${goodHost}variables:\n  A: { secret: hunter2 }\n  B: 31337\n  C: [hunter2]\nnotify: [{ webhook: tok3n, on: [stuck] }]\n`,
      [gitea]: `${goodService}health: { checks: [{ http: "http://a:pa55@x/", header: { Authorization: 31337 } }, { command: [x, 31337], in: gitea }] }\n`,
    })
    expect(lines).toHaveLength(7)
    for (const secret of secrets) expect(lines.join('\n')).not.toContain(secret)
  })
})

describe('what is read', () => {
  test('image and tag are enough, everything else has a default', async () => {
    const { state } = await readingOf({})
    expect(state).toEqual({
      host: {
        name: 'git.example.com',
        project: 'gitea',
        compose: ['compose/compose.yaml'],
        timezone: 'UTC',
        poll: 180_000,
        variables: {},
        windows: {},
        prune: false,
        images: { keep: 2 },
        jobs: {},
        notify: [],
        backup: null,
        bumps: { sweep: null, reviewers: [] },
      },
      services: {
        gitea: {
          service: 'gitea',
          file: gitea,
          image: 'docker.io/gitea/gitea',
          tag: '1.22.6',
          digest: null,
          update: {
            policy: 'manual',
            accept: 'minor',
            tags: null,
            minimumAge: 0,
            window: null,
            reviewers: null,
            releaseNotes: null,
          },
          data: [],
          backup: { before: 'none', while: 'stopped' },
          health: { within: 120_000, steady: 10_000, soak: 600_000, checks: [] },
          revert: { data: 'keep', failed: 'drop', repository: 'pull-request' },
          hold: null,
        },
      },
    })
  })

  test('data goes back on a revert by default, unless it is not backed up', async () => {
    const data = `${goodService}data: [{ volume: a }]\n`
    const both = await readingOf({
      [gitea]: data,
      'desired-state/services/other.yaml': `${data}backup: { before: none }\n`,
    })
    expect(both.state?.services['gitea']?.revert.data).toBe('restore')
    expect(both.state?.services['other']?.revert.data).toBe('keep')
  })

  test('data is backed up before an update by default, also where it is the database of another service', async () => {
    const { state, findings } = await readingOf({
      [gitea]: `${goodService}data: [{ postgres: postgres, database: gitea, user: gitea }]\nbackup: { while: paused }\n`,
      'desired-state/services/postgres.yaml': `${goodService}revert: { failed: keep }\n`,
      'desired-state/services/mysql.yaml': goodService,
    })
    expect(findings).toEqual([])
    expect(state?.services['gitea']).toMatchObject({
      backup: { before: 'update', while: 'paused' },
      revert: { data: 'restore', failed: 'drop' },
    })
    expect(state?.services['postgres']).toMatchObject({
      backup: { before: 'update', while: 'stopped' },
      revert: { data: 'restore', failed: 'keep' },
    })
    expect(state?.services['mysql']?.backup.before).toBe('none')
  })

  test('the file of a database server may say how the data of the others is treated', async () => {
    const data = `${goodService}data: [{ postgres: postgres, database: gitea, user: gitea }]\n`
    const wishes = `${goodService}backup: { before: update }\nrevert: { data: restore }\n`
    expect(await linesOf({ [gitea]: data, 'desired-state/services/postgres.yaml': wishes })).toEqual([])
    expect(await linesOf({ 'desired-state/services/postgres.yaml': wishes })).toHaveLength(2)
  })

  test('writes that a backup of a running service misses may be given up on a revert', async () => {
    const text = `${goodService}data: [{ volume: a }]\nbackup: { while: running }\nrevert: { data: restore }\n`
    expect(await linesOf({ [gitea]: text })).toEqual([])
  })

  test('stores, their retention and the schedules arrive', async () => {
    const { state, findings } = await readingOf({
      [host]: `${goodHost}backup:
  schedule: "0 2 * * *"
  stores:
    - { file: /var/backups//samovar/, keep: { last: 7, daily: 14, x-why: disk } }
    - { s3: my-bucket/git.example.com/a, region: eu-central-1, required: false }
    - { s3: other-bucket }
`,
    })
    expect(findings).toEqual([])
    expect(state?.host.backup).toEqual({
      schedule: '0 2 * * *',
      verify: null,
      stores: [
        { kind: 'file', folder: '/var/backups/samovar', required: true, keep: { last: 7, daily: 14 } },
        {
          kind: 's3',
          bucket: 'my-bucket',
          prefix: 'git.example.com/a',
          region: 'eu-central-1',
          required: false,
          keep: null,
        },
        { kind: 's3', bucket: 'other-bucket', prefix: '', region: null, required: true, keep: null },
      ],
    })
  })

  test('a folder that is left out of a backup has one spelling', async () => {
    const text = `${goodService}data: [{ volume: a, exclude: [./log, gitea//tmp/, gitea/./queues] }]\n`
    const { state } = await readingOf({ [gitea]: text })
    expect(state?.services['gitea']?.data).toEqual([
      { volume: 'a', exclude: ['log', 'gitea/tmp', 'gitea/queues'] },
    ])
  })

  test('every kind of health check arrives with its pace, a command runs in its own service by default', async () => {
    const { state } = await readingOf({
      [gitea]: `${goodService}health:
  checks:
    - { http: "http://x/{tag}", json: { v: "{tag}", n: 1, b: true, z: null }, every: 250ms, timeout: 1m }
    - { tcp: "[::1]:22" }
    - { command: [a, "5"] }
    - { command: [a], in: other }
    - { container: healthy }
`,
    })
    const pace = { every: 2000, timeout: 5000 }
    expect(state?.services['gitea']?.health.checks).toEqual([
      {
        every: 250,
        timeout: 60_000,
        kind: 'http',
        url: 'http://x/{tag}',
        status: null,
        header: {},
        body: null,
        json: { v: '{tag}', n: 1, b: true, z: null },
        ca: null,
      },
      { ...pace, kind: 'tcp', host: '::1', port: 22 },
      { ...pace, kind: 'command', command: ['a', '5'], service: 'gitea' },
      { ...pace, kind: 'command', command: ['a'], service: 'other' },
      { ...pace, kind: 'container' },
    ])
  })

  test('anchors, merge keys, x- keys, CRLF, a byte order mark and Unicode work', async () => {
    const { state, findings } = await readingOf({
      [host]:
        `\uFEFF${goodHost}x-note: ünïcödé 🫖\nvariables: { TITLE: "Tee 茶 🫖", x-n: 1 }\nwindows: { x-w: 5 }\n`.replaceAll(
          '\n',
          '\r\n',
        ),
      [gitea]: `x-calm: &calm { within: 3m, steady: 1m, x-why: 5 }\n${goodService}health: { steady: 7s, <<: *calm }\n`,
    })
    expect(findings).toEqual([])
    expect(state?.host.variables).toEqual({ TITLE: 'Tee 茶 🫖' })
    expect(state?.host.windows).toEqual({})
    expect(state?.services['gitea']?.health).toMatchObject({ within: 180_000, steady: 7000 })
  })

  test('a place is exact behind a byte order mark, CRLF and Unicode, and inside an anchor', async () => {
    const lines = await linesOf({
      [host]: `\uFEFFnme: x\r\n${goodHost.replaceAll('\n', '\r\n')}x-é: 茶 \r\npol: 5m\r\n`,
      [gitea]: `x-a: &a\n  steady: 5\n${goodService}health:\n  <<: *a\n`,
    })
    expect(lines.map((line) => line.split(': ')[0])).toEqual([`${host}:1:1`, `${host}:6:1`, `${gitea}:2:11`])
  })

  test('a tag that moves is accepted beside a digest, latest never', async () => {
    const digest = `digest: sha256:${'0'.repeat(64)}\n`
    expect(await linesOf({ [gitea]: `image: a\ntag: nightly\n${digest}` })).toEqual([])
    expect(await linesOf({ [gitea]: `image: a\ntag: 1-latest\n${digest}` })).toHaveLength(1)
    for (const tag of ['"18"', '1.30.4-alpine', 'v0.20.1', '18-bookworm', 'a3f9c21', 'RELEASE.2024-01-01']) {
      expect(await linesOf({ [gitea]: `image: a\ntag: ${tag}\n` }), tag).toEqual([])
    }
  })

  test('the starter stack of this repository has no findings', async () => {
    const root = fileURLToPath(new URL('../..', import.meta.url))
    const { findings, state } = await readDesiredState({ root })
    expect(findings).toEqual([])
    expect(Object.keys(state?.services ?? {})).toEqual(expect.arrayContaining(['gitea', 'nginx', 'postgres']))
  })

  test('another directory is read when the settings name one', async () => {
    await using place = await checkout({
      'hosts/a/host.yaml': goodHost,
      'hosts/a/services/web.yaml': goodService,
    })
    const { state } = await readDesiredState({ root: place.root, directory: 'hosts/a' })
    expect(state?.services['web']?.file).toBe('hosts/a/services/web.yaml')
  })
})
