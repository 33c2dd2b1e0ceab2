import { createHmac } from 'node:crypto'
import { connect } from 'node:net'

export type Call = {
  method?: string
  path: string
  headers?: Record<string, string>
  /** Several parts go out in chunks, without a length. */
  body?: Buffer | string | Buffer[]
}

export type Called = { status: number; body: string; ms: number }

/** One request over a connection of its own, written byte by byte as given: nothing corrects what is wrong with it. */
export function call(url: string, { method = 'POST', path, headers = {}, body = '' }: Call): Promise<Called> {
  const { hostname, port } = new URL(url)
  const began = performance.now()
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) })
    let text = ''
    const finish = () => {
      const answer = answerIn(text, method)
      if (answer === null) return
      socket.destroy()
      resolve({ ...answer, ms: performance.now() - began })
    }
    socket.setEncoding('utf8')
    socket.on('data', (more: string) => {
      text += more
      finish()
    })
    socket.on('error', (error) => {
      if (answerIn(text, method) === null) reject(error)
    })
    socket.on('close', () => {
      if (answerIn(text, method) === null) reject(new Error(`closed without an answer, after: ${text}`))
    })
    const parts = Array.isArray(body) ? body : null
    const all = { host: `${hostname}:${port}`, ...lengthOf(body), ...headers }
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
    socket.write([`${method} ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n'))
    if (parts === null) socket.write(body as Buffer | string)
    else {
      for (const part of parts) {
        socket.write(`${part.length.toString(16)}\r\n`)
        socket.write(part)
        socket.write('\r\n')
      }
      socket.write('0\r\n\r\n')
    }
  })
}

const lengthOf = (body: Buffer | string | Buffer[]): Record<string, string> =>
  Array.isArray(body)
    ? { 'transfer-encoding': 'chunked' }
    : { 'content-length': String(Buffer.byteLength(body)) }

function answerIn(text: string, method: string): { status: number; body: string } | null {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return null
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])
  const length = Number(/^content-length: (\d+)/im.exec(text.slice(0, end))?.[1] ?? 0)
  const body = text.slice(end + 4)
  return method !== 'HEAD' && Buffer.byteLength(body) < length ? null : { status, body }
}

export const secret = 'a-secret-of-the-webhook'

export const signatureOf = (body: Buffer | string, key = secret): string =>
  createHmac('sha256', key).update(body).digest('hex')

const commit = (digit: string): string => digit.repeat(40)

/** A push as Gitea sends it, pretty-printed. */
export const pushBody = (other: Record<string, unknown> = {}): string =>
  JSON.stringify(
    {
      ref: 'refs/heads/main',
      before: commit('1'),
      after: commit('2'),
      compare_url: '',
      commits: [{ id: commit('2'), message: 'Bump web to 1.1.0\n', added: [], removed: [], modified: [] }],
      total_commits: 1,
      repository: { id: 7, name: 'host', full_name: 'ops/host', private: true, default_branch: 'main' },
      pusher: { id: 3, login: 'alice' },
      sender: { id: 3, login: 'alice' },
      ...other,
    },
    null,
    2,
  )

let deliveries = 0

/** A signed delivery of Gitea with an id of its own. */
export function delivery(
  body: Buffer | string,
  headers: Record<string, string> = {},
): { path: string; headers: Record<string, string>; body: Buffer | string } {
  deliveries += 1
  return {
    path: '/hooks/gitea',
    headers: {
      'content-type': 'application/json',
      'x-gitea-event': 'push',
      'x-gitea-delivery': `00000000-0000-4000-8000-${String(deliveries).padStart(12, '0')}`,
      'x-gitea-signature': signatureOf(body),
      ...headers,
    },
    body,
  }
}
