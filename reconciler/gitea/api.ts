import { SamovarError } from '../errors.ts'
import { ForgeRefusal, TooLarge } from './refusal.ts'
import { type Answer, neverConnected, type Request, requestOnce, type Wire } from './request.ts'

export type ApiOptions = {
  /** Where Gitea is; user and password in it are left out. */
  url: string
  /** Value of the header, such as `token T`; asked at each request, so that a new token counts at once. */
  authorization: () => string | undefined
  /** What is to be corrected when the credentials are not accepted. */
  credentials: string
  /** A sentence on where new ones come from. */
  newCredentials?: string
  signal?: AbortSignal
  patience?: Partial<Patience>
}

/**
 * Times in milliseconds. Behind a call stands the outbox, which tries for days: here only a moment is waited, at most
 * three timeouts and the pauses.
 */
export type Patience = {
  /** For one request, its whole answer included. */
  timeoutMs: number
  /** Before the second, third ... try; of each between the half and the whole is waited. */
  pausesMs: readonly number[]
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export type Ask = {
  query?: Record<string, string | number>
  body?: unknown
  /** Refusals that the caller understands: they are answers, not errors. */
  understood?: readonly number[]
  /** For a POST that Gitea itself guards against being done twice. */
  repeatable?: boolean
}

export type ListAsk = {
  query?: Record<string, string | number>
  /** For a list that lies inside another object. */
  itemsOf?: (body: unknown) => unknown
  /** Refusals that mean an empty list. */
  understood?: readonly number[]
}

/** Requests to the API of one Gitea. */
export type Api = {
  /** Address for people, without a slash at its end. */
  readonly webUrl: string
  /** @param path below `/api/v1`, made by `at` */
  ask(method: Method, path: string, how?: Ask): Promise<Answer>
  /** The error of an answer that was understood, but is no good after all. */
  refusal(answer: Answer, method: Method, path: string): SamovarError
  /** The items of a list, page after page, asked for as they are used. */
  items<T>(path: string, list?: ListAsk): AsyncGenerator<T>
}

/** What Gitea gives at most, as long as nobody lowered `[api] MAX_RESPONSE_ITEMS`. */
const pageSize = 50
/** 10,000 items. A server that ignores `page` would be asked forever. */
const mostPages = 200

const defaultPatience: Patience = { timeoutMs: 15_000, pausesMs: [300, 1200] }

/**
 * Talks to the API of Gitea.
 *
 * A request is tried again when the connection fails, the time is up, or the answer is 5xx. Never after a 4xx. A POST is
 * only tried again when the connection was not even made, or when it is marked `repeatable`: after a lost answer or a 502
 * from a proxy it may have been done, and there would be two comments. 503 is no exception: proxies say that also of a
 * connection that broke after the request. Whoever posts looks first when it posts again.
 */
export function connectApi(options: ApiOptions): Api {
  const { origin, pathname } = new URL(options.url)
  const webUrl = `${origin}${pathname}`.replace(/\/+$/, '')
  const patience = { ...defaultPatience, ...options.patience }
  const wire: Wire = {
    authorization: options.authorization,
    timeoutMs: patience.timeoutMs,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  }
  const refusal: Api['refusal'] = (answer, method, path) => refusalOf(answer, `${method} ${path}`, options)
  const ask: Api['ask'] = async (method, path, how = {}) => {
    const request = { method, url: new URL(`${webUrl}/api/v1${path}`), path, body: how.body }
    for (const [name, value] of Object.entries(how.query ?? {}))
      request.url.searchParams.set(name, String(value))
    const answer = await persistently(wire, request, {
      pausesMs: patience.pausesMs,
      repeatable: method !== 'POST' || how.repeatable === true,
    })
    if (answer.status < 400 || how.understood?.includes(answer.status)) return answer
    throw refusal(answer, method, path)
  }
  return {
    webUrl,
    ask,
    refusal,
    items: (path, list = {}) => eachItem(ask, path, list),
  }
}

/**
 * A path with each value percent-encoded; the slashes of a value stay, as Gitea's routes of branches and files want.
 * @throws `forge-refused` for `.` and `..`, with which an address would become that of another call
 */
export function at(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  const encoded = values.map((value) => {
    const names = String(value).split('/')
    if (names.some((name) => name === '.' || name === '..'))
      throw new ForgeRefusal(404, `${JSON.stringify(value)} is no path in a repository`)
    return names.map(encodeURIComponent).join('/')
  })
  return String.raw({ raw: parts }, ...encoded)
}

async function persistently(
  wire: Wire,
  request: Request,
  how: { pausesMs: readonly number[]; repeatable: boolean },
): Promise<Answer> {
  for (let tries = 0; ; tries += 1) {
    const pauseMs = how.pausesMs[tries]
    try {
      const answer = await requestOnce(wire, request)
      if (answer.status < 500 || pauseMs === undefined || !how.repeatable) return answer
    } catch (error) {
      const again = how.repeatable || neverConnected(error)
      const forAMoment = error instanceof SamovarError && error.code === 'forge-unreachable'
      if (pauseMs === undefined || !again || !forAMoment) throw error
    }
    await pauseUnlessStopped(pauseMs * (0.5 + Math.random() / 2), wire.signal)
  }
}

/** Ends early, without an error, when Samovar is told to stop: the request that follows says so. */
function pauseUnlessStopped(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    signal?.addEventListener('abort', done)
    if (signal?.aborted) done()
  })
}

/**
 * By counting, never by `Link`: its addresses are those of ROOT_URL, which may not be reachable from here. A page that is
 * too large is read item by item, and an item that is too large by itself is left out: whoever may open a pull request
 * could otherwise hide all others behind one long text.
 */
async function* eachItem<T>(ask: Api['ask'], path: string, list: ListAsk): AsyncGenerator<T> {
  const { understood = [], itemsOf = (body) => body } = list
  let seen = 0
  for (let page = 1; page <= mostPages; page += 1) {
    const query = { ...list.query, page, limit: pageSize }
    const answer = await ask('GET', path, { query, understood }).catch(tooLarge)
    if (answer === null) {
      yield* oneByOne<T>(ask, path, { list, page })
      seen += pageSize
      continue
    }
    if (answer.status >= 400) return
    // Some empty lists are null.
    const items = itemsOf(answer.body) ?? []
    if (!Array.isArray(items))
      throw new SamovarError('forge-unreachable', `GET ${path}: Gitea answered something else than a list`)
    yield* items as T[]
    seen += items.length
    if (items.length === 0 || (answer.total !== null && seen >= answer.total)) return
  }
  throw new ForgeRefusal(200, `GET ${path}: Gitea has more than ${mostPages * pageSize} of them, too many`)
}

/** Null for an answer that is too large. */
function tooLarge(error: unknown): null {
  if (error instanceof TooLarge) return null
  throw error
}

async function* oneByOne<T>(
  ask: Api['ask'],
  path: string,
  { list, page }: { list: ListAsk; page: number },
): AsyncGenerator<T> {
  const { itemsOf = (body) => body } = list
  for (let nth = 1; nth <= pageSize; nth += 1) {
    const query = { ...list.query, page: (page - 1) * pageSize + nth, limit: 1 }
    const answer = await ask('GET', path, { query }).catch(tooLarge)
    if (answer === null) continue
    const items = itemsOf(answer.body) ?? []
    if (!Array.isArray(items) || items.length === 0) return
    yield* items as T[]
  }
}

/** A refusal in one sentence. 401 is no refusal of this call but of us, and may be over when the token is replaced. */
function refusalOf(answer: Answer, call: string, options: ApiOptions): SamovarError {
  const said = saidBy(answer, options.authorization())
  const sentence = `${call}: HTTP ${answer.status}${said === '' ? '' : `, ${said}`}`
  if (answer.status === 401)
    return new SamovarError(
      'forge-unreachable',
      `Gitea does not accept ${options.credentials} (${sentence})`,
      {
        next: [
          `Check ${options.credentials}: it may be missing, expired or deleted.`,
          ...(options.newCredentials === undefined ? [] : [options.newCredentials]),
        ].join(' '),
        cause: new ForgeRefusal(answer.status, sentence),
      },
    )
  if (answer.status >= 500)
    return new SamovarError('forge-unreachable', `Gitea cannot answer at the moment (${sentence})`)
  return new ForgeRefusal(answer.status, `Gitea refused ${sentence}`)
}

/** Gitea's own message, on one line and not long. A merge conflict answers with the output of Git instead. */
function saidBy(answer: Answer, authorization: string | undefined): string {
  const body = answer.body as { message?: unknown; StdOut?: unknown } | null
  const text = [body?.message, body?.StdOut, answer.text].find((each) => typeof each === 'string') ?? ''
  const secret = authorization?.split(' ')[1] ?? ''
  const masked = secret === '' ? text : text.replaceAll(secret, '***')
  return masked
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .slice(0, 200)
}
