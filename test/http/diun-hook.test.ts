import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { secretOf } from '../../reconciler/settings.ts'
import { openedJournal } from '../journal/told-operations.ts'
import type { Call } from './hook-caller.ts'
import { serveHooks, token } from './hook-server.ts'

type Capture = { case: string; body: string; headers: Record<string, string> }

/** Requests of Diun 4.33.0, as a receiver wrote them down. */
const captures = JSON.parse(readFileSync('test/fixtures/diun/captures.json', 'utf8')) as Capture[]

const event = (body: Buffer | string, headers: Record<string, string> = {}): Call => ({
  path: '/hooks/diun',
  headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
  body,
})

const newTag = captures.find((each) => each.case === 'new_tags_pushed')?.body ?? ''

const repositories = (journal: { hints(): { repository: string }[] }): string[] =>
  journal
    .hints()
    .map(({ repository }) => repository)
    .sort()

describe('an event of Diun', () => {
  test('is stored as a hint which repository to look into before it is answered', async () => {
    await using opened = await openedJournal('diun')
    const seen: string[] = []
    await using server = await serveHooks(opened.journal, {
      bumpHint: () => void seen.push(...repositories(opened.journal)),
    })
    const { status, body, ms } = await server.call(event(newTag))
    expect([status, JSON.parse(body).accepted]).toEqual([202, true])
    expect(ms).toBeLessThan(100)
    expect(repositories(opened.journal)).toEqual(['127.0.0.1:5000/diunlab/app'])
    expect(seen).toEqual(['127.0.0.1:5000/diunlab/app'])
  })

  test('of every captured kind is taken, as one hint for each repository; a test of the notification is none', async () => {
    await using opened = await openedJournal('diun-captures')
    await using server = await serveHooks(opened.journal)
    for (const { case: name, body } of captures)
      expect([name, (await server.call(event(body))).status]).toEqual([name, 202])
    expect(repositories(opened.journal)).toEqual(
      ['app', 'diunlab/app', 'diunlab/ml', 'diunlab/nc', 'diunlab/pin', 'diunlab/sh'].map(
        (name) => `127.0.0.1:5000/${name}`,
      ),
    )
    const tests = captures.filter((each) => each.case === 'notif_test').length
    expect(tests).toBe(1)
    expect(server.led).toHaveLength(captures.length - tests)
    expect(await server.counted('diun', 'ignored')).toBe(tests)
  })

  test('is refused with the headers that Diun sends when it was not told method, token and content type', async () => {
    await using opened = await openedJournal('diun-headers')
    await using server = await serveHooks(opened.journal)
    for (const { headers, body } of captures.filter((each) => each.headers['Content-Type'] === undefined)) {
      const method = headers['Authorization'] === undefined ? 'GET' : 'POST'
      const authorization = method === 'GET' ? '' : `Bearer ${token}`
      const { status } = await server.call({
        path: '/hooks/diun',
        method,
        headers: { 'user-agent': headers['User-Agent'] ?? '', authorization },
        body,
      })
      expect([method, status]).toEqual([method, method === 'GET' ? 404 : 415])
    }
    expect(opened.journal.hints()).toEqual([])
  })

  test('is refused without the right token, whatever its length', async () => {
    await using opened = await openedJournal('diun-token')
    await using server = await serveHooks(opened.journal)
    const wrong = [
      '',
      'Bearer',
      'Bearer ',
      token,
      `Basic ${token}`,
      `Bearer ${token}x`,
      `Bearer ${token.slice(1)}`,
      `Bearer ${token.toUpperCase()}`,
      `Bearer ${token} ${token}`,
      `Bearer ${'x'.repeat(8_000)}`,
    ]
    for (const authorization of wrong)
      expect([authorization, (await server.call(event(newTag, { authorization }))).status]).toEqual([
        authorization,
        401,
      ])
    expect(
      (await server.call({ ...event(newTag), headers: { 'content-type': 'application/json' } })).status,
    ).toBe(401)
    expect(opened.journal.hints()).toEqual([])
    expect(server.told).toEqual([expect.stringContaining('with SAMOVAR_DIUN_TOKEN')])
    expect((await server.call(event(newTag, { authorization: `bearer ${token}` }))).status).toBe(202)
  })

  test('is refused when no token is set, also with an empty one', async () => {
    for (const diunToken of [null, secretOf('')]) {
      await using opened = await openedJournal('diun-no-token')
      await using server = await serveHooks(opened.journal, { diunToken })
      for (const authorization of ['', 'Bearer ', 'Bearer null', 'Bearer undefined'])
        expect((await server.call(event(newTag, { authorization }))).status).toBe(401)
      expect(server.told).toEqual([expect.stringContaining('SAMOVAR_DIUN_TOKEN is not set')])
      expect(opened.journal.hints()).toEqual([])
    }
  })

  test('that is no event is told so, and nothing of it is stored', async () => {
    await using opened = await openedJournal('diun-malformed')
    await using server = await serveHooks(opened.journal)
    const changed = (other: Record<string, unknown>) => JSON.stringify({ ...JSON.parse(newTag), ...other })
    for (const body of [
      '',
      '{',
      'null',
      '[]',
      '{}',
      changed({ image: undefined }),
      changed({ image: ['docker.io/library/postgres:18'] }),
      changed({ image: '../../etc/passwd' }),
      changed({ image: `docker.io/${'x'.repeat(600)}:1` }),
      changed({ status: 'error' }),
      '{"__proto__":{"image":"docker.io/library/postgres:18","status":"new"}}',
      '['.repeat(30_000) + ']'.repeat(30_000),
    ])
      expect([body.slice(0, 80), (await server.call(event(body))).status]).toEqual([body.slice(0, 80), 400])
    expect((await server.call(event(newTag, { 'content-type': 'text/plain' }))).status).toBe(415)
    expect((await server.call(event(Buffer.alloc(65_537, ' ')))).status).toBe(413)
    expect(opened.journal.hints()).toEqual([])
    expect(server.led).toEqual([])
  })

  test('that cannot be stored is answered with 500, so that Diun logs it, and told', async () => {
    await using opened = await openedJournal('diun-disk')
    await using server = await serveHooks(opened.journal, {
      hintRepository: () => {
        throw new Error('database or disk is full')
      },
    })
    expect((await server.call(event(newTag))).status).toBe(500)
    expect(server.told).toEqual([
      expect.stringMatching(
        /database or disk is full; next: nothing, the next sweep finds it \(bumps\.sweep/,
      ),
    ])
    expect(server.led).toEqual([])
  })
})
