import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HeadPlan } from '../../reconciler/pull-requests/head-plan.ts'
import { outcomeComment, planComment, planStatus } from '../../reconciler/pull-requests/plan-comment.ts'
import { change, digestOf, noon, plan } from './told-plans.ts'

const about = { hostName: 'git.example.com', now: noon, version: '0.1.0' }
const comment = (other: Partial<HeadPlan> = {}) => planComment(plan(other), about)

test('a tired person reads the whole in the heading', () => {
  const nginx = change({
    ...{ service: 'nginx', image: null, fields: ['environment.TZ'], downtime: null },
  })
  expect(comment({ changes: [change(), nginx], order: ['gitea', 'nginx'] }).split('\n')[0]).toBe(
    '### On `git.example.com` this would replace `gitea` `1.22.6` -> `1.22.7` and replace `nginx` (configuration); at least 12 s of downtime',
  )
})

test('the table is aligned and shows what was before and what comes after', () => {
  expect(comment().split('\n').slice(2, 5)).toEqual([
    '| Service | What    | Before                  | After                   | What differs | Downtime   | Starts  |',
    '| ------- | ------- | ----------------------- | ----------------------- | ------------ | ---------- | ------- |',
    '| `gitea` | replace | `1.22.6` `aaaaaaaaaaaa` | `1.22.7` `bbbbbbbbbbbb` | image        | about 12 s | at once |',
  ])
})

test('a digest that is not known before the merge is said to be so', () => {
  const after = { name: 'other/gitea', tag: '1.22.7', digest: '' }
  const text = comment({ changes: [change({ image: { before: change().image?.before ?? null, after } })] })
  expect(text).toContain('`other/gitea` `1.22.7` (digest not known yet)')
})

test('what is copied, how large it was, who stands still and whether it goes back is told', () => {
  const data = {
    ...{ owners: ['gitea'], databases: [{ server: 'postgres', database: 'gitea' }], volumes: ['gitea-data'] },
    ...{ while: 'stopped' as const, stop: ['gitea'], restore: true },
    last: { bytes: 1.4e9, at: noon - 2 * 3600_000 },
  }
  expect(comment({ changes: [change({ data })] })).toContain(
    '- before `gitea`: database `gitea` in `postgres` and volume `gitea-data`; `gitea` is stopped meanwhile; last time 1.4 GB, 2 h ago; it goes back when the change is reverted.\n- Disk: 20.0 GB free, about 1.4 GB needed for a while.',
  )
})

test('what is refused is said in the heading and with its next step', () => {
  const problems = ['it would go from PostgreSQL 15 to 16; next: stay on the same major']
  const text = comment({ changes: [change({ problems })] })
  expect(text.split('\n')[0]).toContain('**that would be refused**')
  expect(text).toContain('- `gitea`: `it would go from PostgreSQL 15 to 16`. Next: `stay on the same major`')
  expect(planStatus(plan({ changes: [change({ problems })] }))).toMatchObject({ state: 'failure' })
})

test('a window is told with its moment in the zone of the host', () => {
  const opensAt = Date.UTC(2026, 10, 29, 2, 15)
  const window = { name: 'weekly', opensAt }
  const held = 'waits for the window "weekly"; next: samovar apply --now'
  const text = comment({ changes: [change({ window, held })] })
  expect(text).toContain('| `2026-11-29 03:15 Europe/Berlin` (window `weekly`) |')
  expect(text).toContain('- `gitea`: `waits for the window "weekly"`. Next: `samovar apply --now`')
  expect(planStatus(plan({ changes: [change({ window, held })] })).state).toBe('success')
})

test('findings come as file, line and column, and nothing else is told then', () => {
  const findings = [
    { file: 'desired-state/services/web.yaml', line: 3, column: 5, key: 'tag', message: 'is missing' },
  ]
  const bad = { findings, moreFindings: 2, changes: [], order: [] }
  expect(comment(bad)).toContain('- `desired-state/services/web.yaml:3:5` `tag`: `is missing`\n- and 2 more')
  expect(planStatus(plan(bad))).toEqual({
    state: 'failure',
    description: '3 findings: desired-state/services/web.yaml:3:5: is missing',
  })
})

test('what could not be planned is an error, what changes nothing a success', () => {
  expect(planStatus(plan({ refused: 'it is too large', changes: [] }))).toEqual({
    state: 'error',
    description: 'could not be planned: it is too large',
  })
  expect(planStatus(plan({ changes: [] }))).toEqual({
    state: 'success',
    description: 'valid; it changes nothing that runs',
  })
})

test('a problem of what is asked for without the pull request is not its failure', () => {
  const pending = change({ service: 'other', pending: true, problems: ['quarantined'] })
  expect(planStatus(plan({ changes: [pending, change()] })).state).toBe('success')
})

test('a plan that differs from the one before says in what', () => {
  const previous = plan({
    fingerprint: 'e',
    changes: [change(), change({ service: 'nginx', image: null })],
  })
  const text = planComment(plan(), { ...about, previous })
  expect(text).toContain(
    '**Different from what was told before**\n\n- `nginx`: replace was told; now nothing.',
  )
})

/** A line without its code, or null when code is left open. */
function withoutCode(line: string): string {
  let rest = line
  let outside = ''
  for (;;) {
    const open = /`+/.exec(rest)
    if (open === null) return outside + rest
    outside += rest.slice(0, open.index)
    rest = rest.slice(open.index + open[0].length)
    const close = [...rest.matchAll(/`+/g)].find((match) => match[0].length === open[0].length)
    if (close === undefined) throw new Error(`code is left open: ${line}`)
    rest = rest.slice(close.index + close[0].length)
  }
}

const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ maxLength: 60 }),
  fc
    .array(
      fc.constantFrom(
        ...['@alice', '`', '``', '|', '\\|', '\\', '\n', '\r', '\u2028', '\u202e', '\u200b', '<b>', '<!--'],
        ...['-->', '![x](http://evil)', '[x](y)', 'https://evil.example', '#1', '# ', '- ', '    ', '\u0000'],
        ...['; next: ', '***', '&#64;', ':smile:', '\ud800', '\u{e0041}', ' ', 'a'],
      ),
      { maxLength: 12 },
    )
    .map((parts) => parts.join('')),
)

/** Every text of a plan that somebody else wrote. */
const hostile = (text: () => string): HeadPlan => {
  const image = { name: text(), tag: text(), digest: text() }
  return plan({
    head: text(),
    refused: null,
    findings: [{ file: text(), line: 1, column: 1, key: text(), message: text() }],
    order: [text(), text()],
    variables: { changed: [text()], new: [text(), text()], gone: [text()] },
    settings: [{ of: text(), keys: [text()] }],
    changes: [
      change({
        ...{ service: text(), image: { before: image, after: { ...image, tag: text(), digest: text() } } },
        ...{ fields: [text(), text()], held: text(), brings: [text()], stops: [text()], problems: [text()] },
        ...{ newSecrets: [text()], window: { name: text(), opensAt: noon } },
        data: {
          ...{ owners: [text()], databases: [{ server: text(), database: text() }], volumes: [text()] },
          ...{ while: 'stopped', stop: [text(), text()], restore: true, last: null },
        },
      }),
      change({ service: text(), together: text(), image: null, action: 'replace' }),
    ],
  })
}

const tidy = /^[\w .,;:()*#|>'/-]*$/

test('whatever a pull request is called, nothing of it gets out of its code: no mention, link, HTML or new line', () => {
  fc.assert(
    fc.property(fc.infiniteStream(nasty), nasty, (texts, hostName) => {
      const next = (): string => String(texts.next().value)
      const told = hostile(next)
      for (const each of [told, { ...told, findings: [] }, { ...told, refused: next(), changes: [] }]) {
        const text = planComment(each, { ...about, hostName, version: next(), previous: hostile(next) })
        expect(text.length).toBeLessThan(60_000)
        expect(/[\p{Cf}\p{Cs}]|[^\P{Cc}\n]/u.test(text)).toBe(false)
        for (const line of text.split('\n')) expect(withoutCode(line)).toMatch(tidy)
        const rows = text.split('\n').filter((line) => line.startsWith('| '))
        for (const row of rows) expect(row.split('|').length).toBe(9)
        const { description } = planStatus(each)
        expect(description.length).toBeLessThanOrEqual(140)
        expect(/[\p{Cf}\p{Cs}\p{Cc}]/u.test(description)).toBe(false)
      }
    }),
    { numRuns: 300 },
  )
})

test('a text adds no lines: a hostile plan has as many as a friendly one', () => {
  const friendly = planComment(
    hostile(() => 'a'),
    about,
  ).split('\n').length
  fc.assert(
    fc.property(nasty, (text) => {
      // An empty next step or a text with one makes no difference in lines either.
      expect(
        planComment(
          hostile(() => text),
          about,
        ).split('\n').length,
      ).toBe(friendly)
    }),
    { numRuns: 300 },
  )
})

test('a plan of any size is told within the bounds, the heading and what is refused first', () => {
  const many = Array.from({ length: 2_000 }, (_, at) =>
    change({ service: `service-${at}`, problems: ['x'.repeat(10_000)], fields: ['y'.repeat(500)] }),
  )
  const text = planComment(
    plan({
      changes: many,
      order: many.map((each) => each.service),
      variables: { changed: many.map((each) => each.service), new: [], gone: [] },
    }),
    about,
  )
  expect(text.length).toBeLessThanOrEqual(60_000)
  expect(text.split('\n')[0]).toContain('this would')
  expect(text).toContain('more lines are left out')
})

const operation = {
  ...{ id: '20261122-120102-9f3c', service: 'gitea', kind: 'replace' as const, result: 'applied' as const },
  ...{ from: change().image?.before ?? null, to: change().image?.after ?? null, reason: '' },
  ...{ downtimeMs: 11_000, backup: null },
}
const outcome = {
  ...{ hostName: 'git.example.com', now: noon, version: '0.1.0', timezone: 'UTC', commit: 'd'.repeat(40) },
  ...{ operations: [operation], instead: null, nothing: false },
}

test('after the merge the comment says what became of each change', () => {
  const text = outcomeComment(plan(), outcome)
  expect(text).toContain('### Merged as `dddddddddd`; on `git.example.com` the change was made')
  expect(text).toMatch(
    /\| `gitea` \| replace \| applied \| `1\.22\.6` .* \| 11 s .* `20261122-120102-9f3c` \|/,
  )
  const reverted = {
    ...operation,
    result: 'reverted' as const,
    reason: 'the check failed; next: look @alice',
  }
  const bad = outcomeComment(plan(), { ...outcome, operations: [reverted] })
  expect(bad).toContain('on `git.example.com` `gitea`: reverted')
  expect(bad).toContain('- `gitea` (`reverted`): `the check failed`. Next: `look @alice`')
})

test('after the merge a plan that was no longer true says in what', () => {
  const instead = [
    {
      ...{ service: 'gitea', action: 'replace', configuration: 'c1', fields: [], drift: false },
      from: change().image?.before ?? null,
      to: { name: 'docker.io/gitea/gitea', tag: '1.22.7', digest: digestOf('f') },
    },
    {
      ...{ service: 'nginx', action: 'replace', configuration: 'c2', fields: ['labels.x'], drift: false },
      ...{ from: null, to: null },
    },
  ]
  const text = outcomeComment(plan(), { ...outcome, instead })
  expect(text).toContain('and the plan was no longer true')
  expect(text).toMatch(/- `gitea`: .*`bbbbbbbbbbbb` was told; now .*`ffffffffffff`/)
  expect(text).toContain('- `nginx`: nothing was told; now replace.')
  expect(outcomeComment(null, { ...outcome, instead })).toContain('**The plan was no longer true.**')
})

test('what is told and not begun yet is listed with what it waits for', () => {
  const text = outcomeComment(plan({ changes: [change({ held: 'waits for the window "weekly"' })] }), {
    ...outcome,
    operations: [],
  })
  expect(text).toContain('- `gitea`: replace is not done yet: `waits for the window "weekly"`.')
})

test('nothing of an operation gets out of its code either', () => {
  fc.assert(
    fc.property(fc.infiniteStream(nasty), (texts) => {
      const next = (): string => String(texts.next().value)
      const image = () => ({ name: next(), tag: next(), digest: next() })
      const text = outcomeComment(hostile(next), {
        ...outcome,
        hostName: next(),
        commit: next(),
        operations: [
          {
            ...operation,
            service: next(),
            result: 'reverted',
            reason: next(),
            from: image(),
            to: image(),
            backup: next(),
          },
        ],
        instead: [
          {
            service: next(),
            action: 'replace',
            from: image(),
            to: image(),
            configuration: null,
            fields: [],
            drift: false,
          },
        ],
      })
      for (const line of text.split('\n')) expect(withoutCode(line)).toMatch(tidy)
      for (const row of text.split('\n').filter((line) => line.startsWith('| ')))
        expect(row.split('|').length).toBe(10)
    }),
    { numRuns: 200 },
  )
})
