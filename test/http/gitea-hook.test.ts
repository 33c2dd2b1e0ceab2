import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { secretOf } from '../../reconciler/settings.ts'
import { openedJournal } from '../journal/told-operations.ts'
import { delivery, pushBody, secret, signatureOf } from './hook-caller.ts'
import { serveHooks } from './hook-server.ts'

let opened: Awaited<ReturnType<typeof openedJournal>>
beforeAll(async () => {
  opened = await openedJournal('gitea-hook')
})
afterAll(() => opened[Symbol.asyncDispose]())

const unsigned = (headers: Record<string, string>) => {
  const { 'x-gitea-signature': _left, ...others } = headers
  return others
}

describe('a webhook of Gitea', () => {
  test('that tells of a push makes one look, and is answered within 100 ms', async () => {
    await using server = await serveHooks(opened.journal)
    await server.call(delivery(pushBody()))
    const { status, body, ms } = await server.call(delivery(pushBody()))
    expect([status, JSON.parse(body)]).toEqual([202, { accepted: true, why: 'the branch main is looked at' }])
    expect(ms).toBeLessThan(100)
    expect(server.led).toEqual(['look: a push', 'look: a push'])
    expect(await server.counted('gitea', 'accepted')).toBe(2)
  })

  test('is refused when its signature is wrong, empty, missing, cut, prefixed, in capitals or of another body', async () => {
    await using server = await serveHooks(opened.journal)
    const body = pushBody()
    const right = signatureOf(body)
    const wrong = {
      'of another secret': signatureOf(body, 'another'),
      'of another body': signatureOf(`${body} `),
      empty: '',
      cut: right.slice(0, 62),
      'half of it': right.slice(0, 32),
      'too long': `${right}00`,
      prefixed: `sha256=${right}`,
      'in capitals': right.toUpperCase(),
      'no hexadecimal': 'z'.repeat(64),
      twice: `${right}, ${right}`,
    }
    for (const [what, signature] of Object.entries(wrong)) {
      const { status, body: said } = await server.call(delivery(body, { 'x-gitea-signature': signature }))
      expect([what, status, said]).toEqual([what, 401, '{"error":"unauthorized"}'])
    }
    const { headers, ...missing } = delivery(body)
    expect((await server.call({ ...missing, headers: unsigned(headers) })).status).toBe(401)
    // What other forges and older versions of Gitea send beside it does not count.
    const besides = {
      ...unsigned(headers),
      'x-hub-signature-256': `sha256=${right}`,
      'x-gogs-signature': right,
    }
    expect((await server.call({ ...missing, headers: besides })).status).toBe(401)
    expect(server.led).toEqual([])
    expect(await server.counted('gitea', 'unauthorized')).toBe(12)
  })

  test('is refused without a secret of ours, and signed with an empty one, too', async () => {
    for (const ours of [null, secretOf('')]) {
      await using server = await serveHooks(opened.journal, { secret: ours })
      const body = pushBody()
      const empty = { 'x-gitea-signature': signatureOf(body, '') }
      for (const headers of [{}, empty, { 'x-gitea-signature': '' }])
        expect((await server.call(delivery(body, headers))).status).toBe(401)
      expect(server.led).toEqual([])
      expect(server.told).toEqual([
        'a webhook came and was refused: SAMOVAR_WEBHOOK_SECRET is not set; next: set it to the secret of the webhook in Gitea',
      ])
    }
  })

  test('that was refused is told once an hour, not once a call, and the caller learns nothing of why', async () => {
    let now = 1_000
    await using server = await serveHooks(opened.journal, { now: () => now })
    const bad = () => server.call(delivery(pushBody(), { 'x-gitea-signature': '0'.repeat(64) }))
    for (let count = 0; count < 20; count += 1) await bad()
    expect(server.told).toEqual([expect.stringContaining('next: run samovar bootstrap --renew and restart')])
    now += 61 * 60_000
    await bad()
    expect(server.told).toHaveLength(2)
    expect(JSON.stringify(await bad())).not.toContain('SAMOVAR')
  })

  test('writes nothing into the journal before its signature is right', async () => {
    const asked: string[] = []
    await using server = await serveHooks(opened.journal, {
      firstDelivery: (id) => {
        asked.push(id)
        return true
      },
    })
    await server.call(delivery(pushBody(), { 'x-gitea-signature': '0'.repeat(64) }))
    await server.call(delivery('{', { 'x-gitea-signature': '' }))
    expect(asked).toEqual([])
    await server.call(delivery(pushBody()))
    expect(asked).toHaveLength(1)
  })

  test('that comes again leads to nothing, also after a restart', async () => {
    const again = delivery(pushBody())
    {
      await using server = await serveHooks(opened.journal)
      expect(JSON.parse((await server.call(again)).body).accepted).toBe(true)
      const { status, body } = await server.call(again)
      expect([status, JSON.parse(body)]).toEqual([
        202,
        { accepted: false, why: 'replay: this delivery came before' },
      ])
      expect(server.led).toHaveLength(1)
    }
    await using restarted = await serveHooks(opened.journal)
    expect((await restarted.call(again)).body).toContain('replay')
    expect(restarted.led).toEqual([])
    expect(await restarted.counted('gitea', 'replay')).toBe(1)
  })

  test('needs the id of a delivery that can be one', async () => {
    await using server = await serveHooks(opened.journal)
    for (const id of ['', ' ', 'x'.repeat(101), 'a b', '../../x', "'; drop table deliveries"]) {
      const { status } = await server.call(delivery(pushBody(), { 'x-gitea-delivery': id }))
      expect([id, status]).toEqual([id, 400])
    }
    const { headers, ...rest } = delivery(pushBody())
    const { 'x-gitea-delivery': _left, ...without } = headers
    expect((await server.call({ ...rest, headers: without })).status).toBe(400)
    expect(server.led).toEqual([])
  })

  test('must be application/json', async () => {
    await using server = await serveHooks(opened.journal)
    const form = `payload=${encodeURIComponent(pushBody())}`
    // Of a form Gitea signs the JSON, not the body.
    const signed = { 'x-gitea-signature': signatureOf(pushBody()) }
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'application/jsonp', 'x', ''])
      expect([type, (await server.call(delivery(form, { ...signed, 'content-type': type }))).status]).toEqual(
        [type, 415],
      )
    const { headers, ...rest } = delivery(pushBody())
    const { 'content-type': _left, ...without } = headers
    expect((await server.call({ ...rest, headers: without })).status).toBe(415)
    expect(
      (await server.call(delivery(pushBody(), { 'content-type': 'application/json; charset=utf-8' }))).status,
    ).toBe(202)
    expect(server.told).toEqual([expect.stringContaining('choose application/json as its content type')])
    expect(await server.counted('gitea', 'wrong-type')).toBe(6)
  })

  test('whose body is no JSON is told so, once its signature is right', async () => {
    await using server = await serveHooks(opened.journal)
    for (const body of ['', '{', 'payload=1', `${pushBody()}x`, '\u0000', "{'a':1}"])
      expect([body, (await server.call(delivery(body))).status]).toEqual([body, 400])
    expect((await server.call(delivery('{', { 'x-gitea-signature': '0'.repeat(64) }))).status).toBe(401)
    expect(server.led).toEqual([])
    expect(await server.counted('gitea', 'malformed')).toBe(6)
  })

  test('with JSON that is made to hurt is answered and leads to nothing', async () => {
    await using server = await serveHooks(opened.journal)
    const deep = 100_000
    const bodies = [
      '['.repeat(deep) + ']'.repeat(deep),
      '{"repository":'.repeat(deep) + '1' + '}'.repeat(deep),
      '{"__proto__":{"ref":"refs/heads/main","repository":{"full_name":"ops/host"}}}',
      '{"constructor":{"prototype":{"ref":"refs/heads/main"}},"repository":{"__proto__":{"full_name":"ops/host"}}}',
      'null',
      '[]',
      '"push"',
      '1e999',
      pushBody({ ref: ['refs/heads/main'] }),
      pushBody({ after: { toString: 'x' } }),
      pushBody({ repository: [] }),
      pushBody({ repository: { full_name: ['ops/host'] } }),
    ]
    for (const body of bodies) {
      const { status, body: said } = await server.call(delivery(body))
      expect([status, JSON.parse(said).accepted]).toEqual([202, false])
    }
    expect(server.led).toEqual([])
    expect(({} as Record<string, unknown>)['ref']).toBeUndefined()
  })

  test('is judged by its bytes as they came, also when they are no UTF-8', async () => {
    await using server = await serveHooks(opened.journal)
    const [before = '', after = ''] = pushBody().split('Bump web')
    const body = Buffer.concat([Buffer.from(before), Buffer.from([0xff, 0xc3, 0x28]), Buffer.from(after)])
    expect((await server.call(delivery(body))).status).toBe(202)
    expect(server.led).toEqual(['look: a push'])
    const mended = Buffer.from(body.toString('utf8'))
    expect(
      (await server.call(delivery(mended, { 'x-gitea-signature': signatureOf(body) }))).status,
      'the same text in other bytes',
    ).toBe(401)
  })

  test('has only POST: nothing else is there', async () => {
    await using server = await serveHooks(opened.journal)
    for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
      for (const path of ['/hooks/gitea', '/hooks/diun'])
        expect([method, (await server.call({ ...delivery(pushBody()), path, method })).status]).toEqual([
          method,
          404,
        ])
    expect(server.led).toEqual([])
  })

  test('that cannot be remembered is answered with 500 and told, and leads to nothing', async () => {
    await using server = await serveHooks(opened.journal, {
      firstDelivery: () => {
        throw new Error('database or disk is full')
      },
    })
    const { status, body } = await server.call(delivery(pushBody()))
    expect([status, body]).toEqual([500, '{"error":"it could not be remembered"}'])
    expect(server.told).toEqual([
      expect.stringContaining('could not be remembered: database or disk is full'),
    ])
    expect(server.led).toEqual([])
  })

  test('is judged with the secret as UTF-8', async () => {
    const umlauts = 'Schlüssel für späte Gäste'
    await using server = await serveHooks(opened.journal, { secret: secretOf(umlauts) })
    const body = pushBody()
    expect((await server.call(delivery(body))).status).toBe(401)
    const right = { 'x-gitea-signature': signatureOf(body, umlauts) }
    expect((await server.call(delivery(body, right))).status).toBe(202)
    expect(secret).not.toBe(umlauts)
  })
})
