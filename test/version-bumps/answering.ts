import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Asked = { method: string; path: string; headers: IncomingMessage['headers']; body: string }

/** An HTTP server on a loopback port that answers as it is told, and knows what it was asked. */
export type Answering = AsyncDisposable & {
  /** `127.0.0.1:PORT` */
  address: string
  asked: Asked[]
  /** `GET /v2/app/tags/list?n=1000` and so on. */
  lines(): string[]
}

export async function answering(
  answer: (asked: Asked, response: ServerResponse) => void,
): Promise<Answering> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const one = { method, path: url, headers, body: Buffer.concat(chunks).toString('utf8') }
      asked.push(one)
      answer(one, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    lines: () => asked.map(({ method, path }) => `${method} ${path}`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function sendJson(
  response: ServerResponse,
  value: unknown,
  options: { status?: number; headers?: Record<string, string> } = {},
): void {
  response.writeHead(options.status ?? 200, { 'content-type': 'application/json', ...options.headers })
  response.end(JSON.stringify(value))
}

export const digestFor = (bytes: Buffer | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** What a registry holds: manifests by tag and digest, blobs by digest. */
export type Shelf = { manifests: Map<string, string>; blobs: Map<string, string> }

/** Puts an image of one platform on the shelf; answers the digest of its manifest. */
export function putImage(
  shelf: Shelf,
  configuration: Record<string, unknown>,
  annotations?: Record<string, string>,
): string {
  const config = JSON.stringify(configuration)
  shelf.blobs.set(digestFor(config), config)
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { digest: digestFor(config), size: config.length },
    layers: [],
    ...(annotations === undefined ? {} : { annotations }),
  })
  shelf.manifests.set(digestFor(manifest), manifest)
  return digestFor(manifest)
}

export function putIndex(
  shelf: Shelf,
  entries: { digest: string; platform: Record<string, string> }[],
): string {
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: entries.map((entry) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      ...entry,
    })),
  })
  shelf.manifests.set(digestFor(index), index)
  return digestFor(index)
}

export const emptyShelf = (): Shelf => ({ manifests: new Map(), blobs: new Map() })

/** Serves what is on the shelf under any repository, as a registry does. */
export function serveShelf(shelf: Shelf): (asked: Asked, response: ServerResponse) => void {
  return ({ method, path }, response) => {
    if (path.includes('/tags/list')) {
      const tags = [...shelf.manifests.keys()].filter((name) => !name.startsWith('sha256:'))
      return sendJson(response, { tags })
    }
    const [, kind = '', reference = ''] = /\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? []
    const named = shelf.manifests.get(reference) ?? ''
    // A tag on the shelf holds the digest of its manifest.
    const manifest = named.startsWith('sha256:') ? shelf.manifests.get(named) : named
    const content = kind === 'blobs' ? shelf.blobs.get(reference) : manifest
    if (content === undefined || content === '') return sendJson(response, { errors: [] }, { status: 404 })
    const length = { 'content-length': String(Buffer.byteLength(content)) }
    response.writeHead(200, { 'docker-content-digest': digestFor(content), ...length })
    response.end(method === 'HEAD' ? undefined : content)
  }
}
