import { readFile } from 'node:fs/promises'
import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { isAbsolute, resolve } from 'node:path'
import type { HealthCheck } from '../desired-state.ts'
import { sentenceOf } from '../errors.ts'
import { checkHeader } from '../hold-requests.ts'
import type { Check, CheckContext, CheckResult } from './health-check.ts'
import { connectionSentence, withoutUserinfo } from './sentences.ts'

type HttpPolicy = Extract<HealthCheck, { kind: 'http' }>
type Expected = Pick<HttpPolicy, 'status' | 'header' | 'body' | 'json'>
type Answer = { status: number; headers: IncomingMessage['headers']; body: Buffer; cut: boolean }

/** No answer worth judging is longer; a check must not fill the memory with somebody's download. */
const longestBody = 1024 * 1024

/**
 * One GET on a fresh connection. Redirects are not followed: a check names the page it means, and a redirect to a login
 * or to another host would prove the wrong thing; 3xx passes where no status is named. The body is only read when
 * `body` or `json` look at it, so an endless stream is fine for a check of the status alone.
 */
export function httpCheck(policy: HttpPolicy, context: Pick<CheckContext, 'tag' | 'root' | 'pass'>): Check {
  const url = fillTag(policy.url, context.tag)
  const shown = withoutUserinfo(url)
  const expected = fillExpected(policy, context.tag)
  const headers = { 'User-Agent': 'samovar', Accept: '*/*' }
  // A check that waited at the door for its own success would wait for ever.
  if (context.pass) Object.assign(headers, { [checkHeader]: context.pass })
  return {
    name: `http ${shown}`,
    every: policy.every,
    timeout: policy.timeout,
    run: async (signal) => {
      const ca = await readAuthority(policy.ca, context.root)
      if ('ok' in ca) return ca
      try {
        const answer = await get(url, { ca: ca.pem, headers, signal, wanted: wantsBody(expected) })
        return judge(answer, expected, shown)
      } catch (error) {
        return { ok: false, said: `${connectionSentence(error)} (${shown})` }
      }
    },
  }
}

function wantsBody(expected: Expected): boolean {
  return expected.body !== null || Object.keys(expected.json).length > 0
}

function fillTag(text: string, tag: string): string {
  return text.replaceAll('{tag}', () => tag)
}

function fillExpected(policy: HttpPolicy, tag: string): Expected {
  const fill = <T>(values: Record<string, T>) =>
    Object.fromEntries(
      Object.entries(values).map(([key, value]) => [
        key,
        typeof value === 'string' ? fillTag(value, tag) : value,
      ]),
    )
  return {
    status: policy.status,
    header: fill(policy.header) as Expected['header'],
    body: policy.body === null ? null : fillTag(policy.body, tag),
    json: fill(policy.json) as Expected['json'],
  }
}

/** A file of the checkout that is missing stays missing; one of the host may still be written by another service. */
async function readAuthority(
  ca: string | null,
  root: string,
): Promise<{ pem: Buffer | null } | Extract<CheckResult, { ok: false }>> {
  if (ca === null) return { pem: null }
  try {
    return { pem: await readFile(resolve(root, ca)) }
  } catch (error) {
    return {
      ok: false,
      said: `the ca file ${ca} cannot be read: ${sentenceOf(error)}`,
      final: !isAbsolute(ca),
    }
  }
}

type Asked = { ca: Buffer | null; headers: Record<string, string>; signal: AbortSignal; wanted: boolean }

function get(url: string, { ca, headers, signal, wanted }: Asked): Promise<Answer> {
  const { promise, resolve: answered, reject } = Promise.withResolvers<Answer>()
  const target = new URL(url)
  const options = { agent: false, signal, headers }
  const request =
    target.protocol === 'https:'
      ? tlsRequest(target, ca === null ? options : { ...options, ca })
      : plainRequest(target, options)
  request.on('error', reject)
  request.on('response', (response) => {
    void readBody(response, wanted)
      .then(answered, reject)
      .finally(() => request.destroy())
  })
  request.end()
  return promise
}

async function readBody(response: IncomingMessage, wanted: boolean): Promise<Answer> {
  const answer = { status: response.statusCode ?? 0, headers: response.headers }
  const parts: Buffer[] = []
  let length = 0
  if (wanted) {
    for await (const part of response as AsyncIterable<Buffer>) {
      parts.push(part)
      length += part.length
      if (length > longestBody) return { ...answer, body: Buffer.concat(parts), cut: true }
    }
  }
  return { ...answer, body: Buffer.concat(parts), cut: false }
}

function judge(answer: Answer, expected: Expected, shown: string): CheckResult {
  const wrong =
    judgeStatus(answer, expected.status) ??
    judgeHeaders(answer, expected.header) ??
    (wantsBody(expected) ? judgeBody(answer, expected) : null)
  if (wrong === null) return { ok: true, said: `HTTP ${answer.status} (${shown})` }
  return { ok: false, said: `${wrong.seen} (${shown}), expected ${wrong.expected}` }
}

type Wrong = { seen: string; expected: string } | null

function judgeStatus(answer: Answer, expected: number | null): Wrong {
  const good = expected === null ? answer.status >= 200 && answer.status < 400 : answer.status === expected
  if (good) return null
  return { seen: seenStatus(answer), expected: expected === null ? '2xx or 3xx' : String(expected) }
}

function seenStatus(answer: Answer): string {
  const location = answer.headers.location
  return `HTTP ${answer.status}${location === undefined ? '' : ` to ${withoutUserinfo(location)}`}`
}

function judgeHeaders(answer: Answer, expected: Expected['header']): Wrong {
  for (const [name, text] of Object.entries(expected)) {
    const value = answer.headers[name.toLowerCase()]
    const seen = Array.isArray(value) ? value : value === undefined ? [] : [value]
    if (!seen.includes(text)) {
      const said = seen.length === 0 ? 'is missing' : `is ${quoted(seen.join(', '))}`
      return { seen: `header ${name} ${said}`, expected: quoted(text) }
    }
  }
  return null
}

/** What the page says is not quoted, since it may hold anything; what a named JSON field says is. */
function judgeBody(answer: Answer, expected: Expected): Wrong {
  if (answer.cut) return { seen: `${seenStatus(answer)} with a body over 1 MiB`, expected: 'a shorter one' }
  const text = answer.body.toString('utf8')
  if (expected.body !== null && !text.includes(expected.body)) {
    return {
      seen: `${seenStatus(answer)} with a body of ${text.length} characters`,
      expected: `${quoted(expected.body)} in it`,
    }
  }
  return Object.keys(expected.json).length === 0 ? null : judgeJson(answer, text, expected.json)
}

function judgeJson(answer: Answer, text: string, expected: Expected['json']): Wrong {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    const type = answer.headers['content-type'] ?? 'no content type'
    return { seen: `${seenStatus(answer)} without JSON (${type})`, expected: 'JSON' }
  }
  for (const [path, value] of Object.entries(expected)) {
    const seen = at(document, path)
    if (seen !== value) {
      const said = seen === undefined ? 'is missing' : `is ${quoted(seen)}`
      return { seen: `JSON ${path} ${said}`, expected: quoted(value) }
    }
  }
  return null
}

/** `items.0.name` and `items[0].name` are the same path. */
function at(document: unknown, path: string): unknown {
  let here = document
  for (const step of path.replaceAll(/\[(\d+)\]/g, '.$1').split('.')) {
    if (here === null || typeof here !== 'object' || !Object.hasOwn(here, step)) return undefined
    here = (here as Record<string, unknown>)[step]
  }
  return here
}

function quoted(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length <= 120 ? text : `${text.slice(0, 117)}...`
}
