import { describe, expect, test } from 'vitest'
import type { Operation, Step } from '../../reconciler/journal/operation.ts'
import { failureOf, type News, newsOf, newsWithout } from '../../reconciler/notify/news.ts'
import { type Links, reportOf } from '../../reconciler/notify/report.ts'
import { dataOf } from '../journal/told-operations.ts'
import { version } from './people.ts'

const links: Links = { operation: null, commit: null, pullRequest: null }
const place = { host: 'git.example.com', timezone: 'Europe/Berlin' }
const at = Date.UTC(2026, 10, 22, 2, 15)

const operation = (other: Partial<Operation> = {}, intent: Partial<Operation['intent']> = {}): Operation => ({
  id: '20261122T021500Z-9f3c1a',
  service: 'gitea',
  kind: 'replace',
  commit: 'c0ffee00c0ffee00',
  result: 'reverted',
  decision: 'revert',
  attempts: 1,
  from: version('1.22.3'),
  to: version('1.22.6'),
  startedAt: at - 95_000,
  finishedAt: at,
  downtimeMs: 41_000,
  backup: '20261122T021400Z-0007-9f3c1a',
  reason: 'health check failed: HTTP 500',
  intent: {
    members: [],
    quiesced: [],
    health: { within: 1, steady: 0, soak: 0, checks: [] },
    oldHealth: null,
    configuration: '',
    reasons: [
      { field: 'image', before: '1.22.3', after: '1.22.6' },
      { field: 'environment LOG', before: 'changed', after: 'debug' },
    ],
    drift: false,
    failedCheck: { name: 'http http://127.0.0.1:3000/api/healthz', said: 'HTTP 500: database is locked' },
    data: dataOf('gitea', { lostMs: 0, backup: { id: 'b1', key: 'k', dataFrom: at - 60_000 } }),
    ...intent,
  },
  ...other,
})
const step = (name: string, detail = '', result: Step['result'] = 'done'): Step => ({
  name,
  startedAt: at,
  ms: 1,
  result,
  detail,
})
const evidence = step('capture evidence', 'starting\n  at migrate (db.js:12)\nFATAL: database is locked')
const newsOfThis = (
  event: News['event'],
  about = operation(),
  steps = [evidence],
  subject = 'service gitea',
) => newsOf(event, { place, subject, since: null }, { operation: about, steps })
const report = (news: News, where: Partial<Links> = {}) => reportOf(news, { ...links, ...where })

describe('the subject', () => {
  test.each([
    ['reverted', {}, 'gitea reverted: 1.22.6 failed, 1.22.3 runs again'],
    ['applied', { result: 'applied' }, 'gitea applied: 1.22.3 -> 1.22.6'],
    ['applied', { result: 'applied', from: null, kind: 'create' }, 'gitea applied: 1.22.6'],
    ['applied', { result: 'applied', to: version('1.22.3') }, 'gitea applied: 1.22.3, configuration'],
    ['applied', { result: 'applied', kind: 'remove', to: null }, 'gitea applied: it is stopped (1.22.3)'],
    ['untouched', { result: 'untouched' }, 'gitea untouched: 1.22.3 runs on, 1.22.6 was not rolled out'],
    ['untouched', { result: 'untouched', from: null }, 'gitea untouched: 1.22.6 was not rolled out'],
    ['stuck', { result: 'stuck' }, 'gitea stuck: 1.22.3 -> 1.22.6, a person must look'],
    ['recovered', { result: 'applied' }, 'gitea recovered: 1.22.6 runs'],
    ['backup-failed', { result: 'untouched' }, 'backup before the update of gitea failed'],
  ] as const)('of %s says host, service, result and versions', (event, other, expected) => {
    expect(report(newsOfThis(event, operation(other))).subject).toBe(`[git.example.com] ${expected}`)
  })

  test('of a reminder says that it still is so', () => {
    const news = { ...newsOfThis('stuck', operation({ result: 'stuck' })), since: at - 3_600_000 }
    const { subject, text } = report(news)
    expect(subject).toMatch(/^\[git\.example\.com\] still: gitea stuck/)
    expect(text).toContain('It is so since 2026-11-22 02:15 Europe/Berlin.')
  })
})

describe('the text', () => {
  test('of a reverted update has everything a woken reader needs, in the order he needs it', () => {
    const { text } = report(newsOfThis('reverted'), {
      operation: 'https://samovar.example.com/operations/20261122T021500Z-9f3c1a',
      commit: 'https://git.example.com/ops/host/commit/c0ffee00',
      pullRequest: 'https://git.example.com/ops/host/pulls/7',
    })
    expect(text).toBe(`gitea reverted: 1.22.6 failed, 1.22.3 runs again

What happened
- The new version did not hold and was put back.
- health check failed: HTTP 500.
- Differed: environment LOG changed -> debug

What you should do
- Nothing is urgent: the old version serves.
- \`samovar show 20261122T021500Z-9f3c1a\` tells every step.
- Then push a fix or the next version. Was the cause elsewhere: \`samovar retry gitea\`.

Failing check
- http http://127.0.0.1:3000/api/healthz: HTTP 500: database is locked

What Samovar did
- Took backup 20261122T021400Z-0007-9f3c1a and read it back.
- Brought the old container back. It has passed its own checks, and its image was inspected.
- Put its data back from backup b1 of 2026-11-22T02:14:00Z: 0 s of writes were lost.
- This version is not tried again until the desired state changes or somebody says \`retry\`.

Version
  From       1.22.3 (1223aaaa)
  To         1.22.6 (1226aaaa)
  Downtime   41 s
  Took       95 s
  Backup     20261122T021400Z-0007-9f3c1a
  Commit     c0ffee00c0
  Operation  20261122T021500Z-9f3c1a

Last log lines
  | starting
  |   at migrate (db.js:12)
  | FATAL: database is locked

More
  This operation, step by step:
  https://samovar.example.com/operations/20261122T021500Z-9f3c1a
  The commit:
  https://git.example.com/ops/host/commit/c0ffee00
  The pull request that takes it back:
  https://git.example.com/ops/host/pulls/7

-- 
Samovar on git.example.com · 2026-11-22 03:15 Europe/Berlin
`)
  })

  test('of a stuck one says that a person must look now, and takes the way out from the reason', () => {
    const reason = 'its data is only half put back from b1; next: samovar restore b1'
    const { text } = report(newsOfThis('stuck', operation({ result: 'stuck', reason })))
    expect(text).toMatch(
      /What you should do\n- A person must look, now: gitea may be down\.\n- samovar restore b1\n/,
    )
    expect(text).not.toContain('samovar retry')
  })

  test('of an applied one is short: no check, no log lines, nothing to do', () => {
    const { text } = report(newsOfThis('applied', operation({ result: 'applied', reason: '' })))
    expect(text).not.toMatch(/Failing check|Last log|What you should do|More/)
    expect(text).toContain('- The new container has passed its checks.')
  })

  test('without an operation says what is known', () => {
    const words = { happened: 'no store answers', next: ['samovar doctor tries every store.'] }
    const about = { place, subject: 'scheduled backup', since: null, at }
    const { subject, text } = report(newsWithout('backup-failed', about, words))
    expect(subject).toBe('[git.example.com] scheduled backup failed')
    expect(text).toContain('- no store answers.\n')
    expect(text).toContain('- samovar doctor tries every store.')
  })
})

describe('what others say does no harm', () => {
  const markup = '</pre><script>alert(1)</script><img src=x onerror=alert(1)>"\'&'
  const steering = 'a\r\nBcc: mallory@example.com\r\n\u001b[31m\u202ered\u2028line\u0000'
  const evil = `${markup}${steering}`
  const huge = `${evil}${'z'.repeat(1_000_000)}`
  const about = operation(
    {
      reason: huge,
      service: evil,
      from: { name: evil, tag: evil, digest: evil },
      to: { name: huge, tag: huge, digest: huge },
      commit: evil,
      backup: huge,
      id: evil,
      result: 'stuck',
    },
    {
      failedCheck: { name: huge, said: huge },
      reasons: Array.from({ length: 200 }, () => ({ field: evil, before: huge, after: huge })),
    },
  )
  const steps = [
    step(
      'capture evidence',
      Array.from({ length: 200 }, () => huge)
        .join('\n')
        .slice(0, 5_000_000),
    ),
  ]
  const news = newsOf(
    'stuck',
    { place: { host: evil, timezone: 'UTC' }, subject: `service ${evil}`, since: at },
    { operation: about, steps },
  )
  const { subject, text, html } = reportOf(news, {
    operation: 'javascript:alert(1)',
    commit: 'https://git.example.com/"><script>',
    pullRequest: 'https://git.example.com/ops/host/pulls/7?a="b',
  })

  test('in the subject: one short line', () => {
    expect(subject.length).toBeLessThan(200)
    expect(subject).not.toMatch(/[\p{Cc}\p{Cf}\u2028]/u)
  })

  test('in the text: bounded, without signs that steer', () => {
    expect(text.length).toBeLessThan(40_000)
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\u2028]/u)
    expect(text).not.toMatch(/^Bcc:/m)
  })

  test('in the HTML: nothing but text, and no link to anything but a page', () => {
    expect(html.length).toBeLessThan(80_000)
    const tags = new Set([...html.matchAll(/<\/?([a-zA-Z!][a-z0-9]*)/g)].map(([, name]) => name))
    const own = [
      '!doctype',
      'html',
      'head',
      'meta',
      'title',
      'style',
      'body',
      'div',
      'h2',
      'p',
      'span',
      'code',
      'a',
      'br',
    ]
    expect([...tags].filter((tag) => !own.includes(tag ?? ''))).toEqual([])
    expect(html).not.toContain('javascript:')
    expect(html).not.toMatch(/<[^>]+\son[a-z]+=/i)
    expect([...html.matchAll(/href="([^"]*)"/g)]).toEqual([])
  })
})

test('a mail loads nothing from elsewhere and fits a narrow screen', () => {
  const { html } = report(newsOfThis('reverted'), { operation: 'https://samovar.example.com/operations/1' })
  expect(html).not.toMatch(/src=|<link|@import|url\(|<table/)
  expect(html).not.toMatch(/[^-]width:\s*\d{3,}px/)
  expect(html).toContain('name="color-scheme" content="light dark"')
  expect(html).toContain('overflow-wrap:anywhere')
  expect(html).toContain('href="https://samovar.example.com/operations/1"')
})

test('a job that failed tells how it ended and what it wrote last', () => {
  const done = operation()
  const { failedCheck: _check, data: _data, ...intent } = done.intent
  const job: Operation = {
    ...done,
    kind: 'job',
    service: 'certbot',
    result: 'untouched',
    from: null,
    to: null,
    backup: null,
    reason: 'exit code 1 after 2 s: no such host',
    intent: { ...intent, reasons: [], job: { name: 'renew' } as NonNullable<typeof intent.job> },
  }
  expect(failureOf(job, [])).toMatchObject({ subject: 'job renew', tidings: ['job-failed'] })
  const steps = [
    step('run', 'exit code 1 after 2 s: no such host', 'failed'),
    step('take away', 'it wrote:\nasking\nno such host'),
  ]
  const { subject, text } = report(newsOfThis('job-failed', job, steps, 'job renew'))
  expect(subject).toBe('[git.example.com] job renew failed')
  expect(text).toContain('`samovar job renew` runs it again.')
  expect(text).toContain('  | asking\n  | no such host\n')
  expect(text).toContain('- exit code 1 after 2 s: no such host.\n')
})
