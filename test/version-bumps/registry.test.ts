import type { ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { codeOf, SamovarError } from '../../reconciler/errors.ts'
import { connectRegistries, type Registries } from '../../reconciler/version-bumps/registry.ts'
import type { Login } from '../../reconciler/version-bumps/registry-token.ts'
import { type Answering, type Asked, answering, digestFor, sendJson } from './answering.ts'

const start = Date.parse('2026-11-23T03:00:00Z')

type Clock = { now: number }
const connected = (options: { clock?: Clock; login?: Login; timeoutMs?: number } = {}): Registries =>
  connectRegistries({
    now: () => options.clock?.now ?? start,
    login: async () => options.login,
    timeoutMs: options.timeoutMs ?? 5_000,
  })

async function errorOf(promise: Promise<unknown>): Promise<SamovarError> {
  try {
    await promise
  } catch (error) {
    expect(codeOf(error)).toBe('registry-unreachable')
    return error as SamovarError
  }
  throw new Error('nothing was thrown')
}

const tagsPage = (tags: unknown, link?: string) => (_: Asked, response: ServerResponse) =>
  sendJson(response, { name: 'app', tags }, link === undefined ? {} : { headers: { link } })

describe('the tags of an image', () => {
  test('are read page by page, as the registry links them', async () => {
    await using registry = await answering(({ path }, response) => {
      const last = new URL(path, 'http://x').searchParams.get('last')
      if (last === null)
        tagsPage(['1.0', '1.1'], '</v2/team/app/tags/list?last=1.1&n=1000>; rel="next"')(
          { method: '', path, headers: {}, body: '' },
          response,
        )
      else sendJson(response, { tags: ['1.2', 7, 'no tag', '-1', 'x'.repeat(129)] })
    })
    expect(await connected().tags(`${registry.address}/team/app`)).toEqual(['1.0', '1.1', '1.2'])
    expect(registry.lines()).toEqual([
      'GET /v2/team/app/tags/list?n=1000',
      'GET /v2/team/app/tags/list?last=1.1&n=1000',
    ])
  })

  test('are none when the registry says null', async () => {
    await using registry = await answering(tagsPage(null))
    expect(await connected().tags(`${registry.address}/app`)).toEqual([])
  })

  test.each<[string, (address: string) => string]>([
    ['to another host', () => '<https://evil.example.com/v2/app/tags/list?last=1.0>; rel="next"'],
    ['to another list', () => '</v2/secret/tags/list?last=1.0>; rel="next"'],
    ['to the same page', (address) => `<http://${address}/v2/app/tags/list?n=1000>; rel="next"`],
    ['that is none', () => '<http://[>; rel="next"'],
  ])('a link %s is not followed', async (_, link) => {
    let address = ''
    await using registry = await answering((asked, response) =>
      tagsPage(['1.0'], link(address))(asked, response),
    )
    address = registry.address
    expect(await connected().tags(`${address}/app`)).toEqual(['1.0'])
    expect(registry.lines()).toEqual(['GET /v2/app/tags/list?n=1000'])
  })

  test('more than 50,000 are an error and not the first 50,000', async () => {
    const page = Array.from({ length: 10_000 }, (_, at) => `${at}`)
    await using registry = await answering(({ path }, response) => {
      const at = Number(new URL(path, 'http://x').searchParams.get('last') ?? 0)
      sendJson(
        response,
        { tags: page.map((tag) => `${at}.${tag}`) },
        { headers: { link: `<?last=${at + 1}>; rel="next"` } },
      )
    })
    const error = await errorOf(connected().tags(`${registry.address}/app`))
    expect(error.message).toContain('more than 50000 tags of app')
    expect(registry.asked.length).toBe(6)
  })

  test('an endless page is cut', async () => {
    await using registry = await answering((_, response) => {
      const piece = 'x'.repeat(1024 * 1024)
      const more = () => {
        while (response.write(piece));
        response.once('drain', more)
      }
      more()
    })
    expect((await errorOf(connected().tags(`${registry.address}/app`))).message).toContain(
      'more than 8388608 bytes',
    )
  })

  test.each<[string, unknown, number, string]>([
    ['no list', { tags: 'all' }, 200, 'something else than the tags'],
    ['no JSON', undefined, 200, 'something else than the tags'],
    ['an unknown repository', { errors: [] }, 404, 'does not know app (status 404)'],
    ['a broken registry', {}, 500, 'status 500'],
  ])('%s is an error with what was answered', async (_, body, status, message) => {
    await using registry = await answering((_asked, response) => sendJson(response, body, { status }))
    const error = await errorOf(connected().tags(`${registry.address}/app`))
    expect(error.message).toContain(registry.address)
    expect(error.message).toContain(message)
  })

  test.each(['../../etc/passwd', 'a b', 'https://x/y', '127.0.0.1:1/App', '127.0.0.1:1/../v2', ''])(
    '%j is no image, so nobody is asked',
    async (image) => {
      expect((await errorOf(connected().tags(image))).message).toContain('is not the name of an image')
    },
  )

  test('a registry that does not answer is given up in time', async () => {
    await using silent = await answering(() => undefined)
    const error = await errorOf(connected({ timeoutMs: 150 }).tags(`${silent.address}/app`))
    expect(error.message).toBe(`The registry ${silent.address} did not answer within 0.15 s`)
  })

  test('a registry that is not there says why', async () => {
    const gone = await answering(() => undefined)
    await gone[Symbol.asyncDispose]()
    expect((await errorOf(connected().tags(`${gone.address}/app`))).message).toContain('ECONNREFUSED')
  })
})

describe('a registry that says stop', () => {
  test.each([
    ['after 120 seconds', 429, { 'retry-after': '120' }, 120_000],
    ['until a time', 429, { 'retry-after': new Date(start + 90_000).toUTCString() }, 90_000],
    ['without saying how long', 429, {}, 15 * 60_000],
    ['for years', 429, { 'retry-after': '99999999' }, 24 * 3_600_000],
    ['because it is overloaded', 503, { 'retry-after': '60' }, 60_000],
  ] as [string, number, Record<string, string>, number][])(
    '%s: is not asked before, and is asked then',
    async (_, status, headers, pause) => {
      const clock = { now: start }
      let stops = true
      await using registry = await answering((asked, response) => {
        if (stops) sendJson(response, {}, { status, headers })
        else tagsPage(['1.0'])(asked, response)
      })
      const registries = connected({ clock })
      const image = `${registry.address}/app`
      await errorOf(registries.tags(image))
      stops = false
      clock.now = start + pause - 1_000
      const error = await errorOf(registries.digest(`${registry.address}/other`, '1.0'))
      expect(error.message).toContain('wants not to be asked so often')
      expect(error.next).toContain(new Date(start + pause).toISOString().slice(0, 19))
      expect(registry.asked.length).toBe(1)
      clock.now = start + pause
      expect(await registries.tags(image)).toEqual(['1.0'])
    },
  )

  test('by ratelimit-remaining is left alone for an hour, with the answer it gave', async () => {
    const clock = { now: start }
    await using registry = await answering((_, response) =>
      sendJson(response, { tags: ['1.0'] }, { headers: { 'ratelimit-remaining': '0;w=21600' } }),
    )
    const registries = connected({ clock })
    expect(await registries.tags(`${registry.address}/app`)).toEqual(['1.0'])
    await errorOf(registries.tags(`${registry.address}/app`))
    clock.now += 3_600_000
    expect(await registries.tags(`${registry.address}/app`)).toEqual(['1.0'])
    expect(registry.asked.length).toBe(2)
  })

  test('keeps nobody else waiting', async () => {
    await using busy = await answering((_, response) => sendJson(response, {}, { status: 429 }))
    await using free = await answering(tagsPage(['1.0']))
    const registries = connected()
    await errorOf(registries.tags(`${busy.address}/app`))
    expect(await registries.tags(`${free.address}/app`)).toEqual(['1.0'])
  })

  test('with something left goes on', async () => {
    await using registry = await answering((_, response) =>
      sendJson(response, { tags: [] }, { headers: { 'ratelimit-remaining': '10;w=21600' } }),
    )
    const registries = connected()
    await registries.tags(`${registry.address}/app`)
    await registries.tags(`${registry.address}/app`)
    expect(registry.asked.length).toBe(2)
  })
})

/** A registry whose token service is the same server. */
async function withTokens(
  options: { token?: unknown; tokenStatus?: number; challenge?: (address: string) => string } = {},
) {
  let served = 0
  let address = ''
  const server: Answering = await answering((asked, response) => {
    if (asked.path.startsWith('/token')) {
      served += 1
      return sendJson(response, options.token ?? { token: `token-${served}`, expires_in: 300 }, {
        status: options.tokenStatus ?? 200,
      })
    }
    if (asked.headers.authorization?.startsWith('Bearer token-')) return tagsPage(['1.0'])(asked, response)
    const usual = `Bearer realm="http://${address}/token",service="registry.example.com",scope="repository:app:pull"`
    sendJson(
      response,
      {},
      { status: 401, headers: { 'www-authenticate': options.challenge?.(address) ?? usual } },
    )
  })
  address = server.address
  return server
}
const alice = { username: 'alice', password: 'secret:1', serveraddress: '' }
const basic = `Basic ${Buffer.from('alice:secret:1').toString('base64')}`

describe('a registry that wants a login', () => {
  test('gets a token of its token service, which is asked without a login when there is none', async () => {
    await using registry = await withTokens()
    expect(await connected().tags(`${registry.address}/team/app`)).toEqual(['1.0'])
    expect(registry.lines()).toEqual([
      'GET /v2/team/app/tags/list?n=1000',
      'GET /token?service=registry.example.com&scope=repository%3Ateam%2Fapp%3Apull',
      'GET /v2/team/app/tags/list?n=1000',
    ])
    expect(registry.asked.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      undefined,
      'Bearer token-1',
    ])
  })

  test('the login goes to the token service only, and the token is used again while it counts', async () => {
    const clock = { now: start }
    await using registry = await withTokens()
    const registries = connected({ clock, login: alice })
    await registries.tags(`${registry.address}/app`)
    await registries.tags(`${registry.address}/app`)
    clock.now += 300_000
    await registries.tags(`${registry.address}/app`)
    expect(registry.asked.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      basic,
      'Bearer token-1',
      'Bearer token-1',
      undefined,
      basic,
      'Bearer token-2',
    ])
  })

  test('a token of one repository is not shown for another', async () => {
    await using registry = await withTokens()
    const registries = connected()
    await registries.tags(`${registry.address}/app`)
    await registries.tags(`${registry.address}/other`)
    expect(registry.asked.at(-1)?.headers.authorization).toBe('Bearer token-2')
  })

  test('an identity token is exchanged in a form, not in the address', async () => {
    await using registry = await withTokens({ token: { access_token: 'token-x' } })
    const login = { identitytoken: 'refresh-me', serveraddress: '' }
    await connected({ login }).tags(`${registry.address}/app`)
    const [, exchange] = registry.asked
    expect(exchange?.path).toBe('/token')
    expect(exchange?.method).toBe('POST')
    expect(Object.fromEntries(new URLSearchParams(exchange?.body))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'refresh-me',
      client_id: 'samovar',
      service: 'registry.example.com',
      scope: 'repository:app:pull',
    })
  })

  test.each([
    ['in plain elsewhere', () => 'Bearer realm="http://auth.example.com/token",service="x"'],
    ['with a login in it', (address: string) => `Bearer realm="http://a:b@${address}/token"`],
    ['that is no address', () => 'Bearer realm="token"'],
    ['of a file', () => 'Bearer realm="file:///etc/passwd"'],
    ['that is missing', () => 'Bearer service="x"'],
  ])('a token service %s gets nothing', async (_, challenge) => {
    await using registry = await withTokens({ challenge })
    const error = await errorOf(connected({ login: alice }).tags(`${registry.address}/app`))
    expect(error.message).toContain('token service that is not reached by https')
    expect(registry.asked.length).toBe(1)
  })

  test('a token service that redirects gets the login once and nobody else gets it', async () => {
    await using elsewhere = await answering((_, response) => sendJson(response, { token: 'token-9' }))
    await using registry = await answering((asked, response) => {
      const status = asked.path.startsWith('/token') ? 307 : 401
      const challenge = `Bearer realm="http://${asked.headers.host}/token"`
      sendJson(
        response,
        {},
        { status, headers: { location: `http://${elsewhere.address}/`, 'www-authenticate': challenge } },
      )
    })
    expect((await errorOf(connected({ login: alice }).tags(`${registry.address}/app`))).message).toContain(
      'redirect',
    )
    expect(elsewhere.asked).toEqual([])
  })

  test('Basic is answered with the login', async () => {
    await using registry = await answering((asked, response) => {
      if (asked.headers.authorization === basic) return tagsPage(['1.0'])(asked, response)
      sendJson(response, {}, { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } })
    })
    expect(await connected({ login: alice }).tags(`${registry.address}/app`)).toEqual(['1.0'])
    const error = await errorOf(connected().tags(`${registry.address}/app`))
    expect(error.next).toContain(`docker login ${registry.address}`)
  })

  test.each([
    ['the login is refused', { tokenStatus: 401 }, 'does not let this machine read the image'],
    ['there is no token', { token: {} }, 'a token that cannot be read'],
    ['the token breaks the header', { token: { token: 'a\r\nx: y' } }, 'a token that cannot be read'],
  ])('%s: is said without the login in it', async (_, options, expected) => {
    await using registry = await withTokens(options)
    const error = await errorOf(connected({ login: alice }).tags(`${registry.address}/app`))
    expect(error.message).toContain(expected)
    expect(JSON.stringify([error.message, error.next])).not.toContain('secret')
  })

  test('a token that does not count is asked for once', async () => {
    await using registry = await withTokens({ token: { token: 'other' } })
    expect((await errorOf(connected().tags(`${registry.address}/app`))).next).toContain('docker login')
    expect(registry.asked.length).toBe(3)
  })
})

describe('the digest of a tag', () => {
  const digest = `sha256:${'a'.repeat(64)}`

  test('is asked by HEAD, which is no pull', async () => {
    await using registry = await answering((_, response) => {
      response.writeHead(200, { 'docker-content-digest': digest }).end()
    })
    expect(await connected().digest(`${registry.address}/app`, '1.0')).toBe(digest)
    expect(registry.lines()).toEqual(['HEAD /v2/app/manifests/1.0'])
    const accept = registry.asked[0]?.headers.accept
    expect(accept).toContain('application/vnd.oci.image.index.v1+json')
    expect(accept).toContain('application/vnd.docker.distribution.manifest.list.v2+json')
  })

  test.each<[string, number, Record<string, string>]>([
    ['HEAD is refused', 405, {}],
    ['HEAD tells none', 200, {}],
    ['HEAD tells nonsense', 200, { 'docker-content-digest': 'sha256:../../x' }],
  ])('%s: it is that of what GET answers', async (_, status, headers) => {
    await using registry = await answering(({ method }, response) => {
      if (method === 'HEAD') response.writeHead(status, headers).end()
      else response.end('{"schemaVersion":2}')
    })
    expect(await connected().digest(`${registry.address}/app`, '1.0')).toBe(digestFor('{"schemaVersion":2}'))
  })

  test('is none when the tag is gone', async () => {
    await using registry = await answering((_, response) => response.writeHead(404).end())
    expect(await connected().digest(`${registry.address}/app`, '1.0')).toBe(null)
  })

  test('of what is no tag is not asked', async () => {
    await using registry = await answering((_, response) => response.end())
    await errorOf(connected().digest(`${registry.address}/app`, '../../other/manifests/1.0'))
    expect(registry.asked).toEqual([])
  })
})
