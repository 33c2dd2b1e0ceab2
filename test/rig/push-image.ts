import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'

/**
 * Images without an engine and without a build: layers, a configuration and a manifest are put together here and
 * sent to a registry. The same content has the same digest in every run, and a further version costs two small
 * requests.
 */
export type ImageFile = { path: string; mode?: number } & (
  | { content: string | Uint8Array }
  | { linkTo: string }
  | { folder: true }
)

export type Layer = { gzipped: Buffer; digest: string; diffId: string }

export type ImageConfiguration = {
  Env?: string[]
  Cmd?: string[]
  Entrypoint?: string[]
  ExposedPorts?: Record<string, object>
  Volumes?: Record<string, object>
  Labels?: Record<string, string>
  WorkingDir?: string
  StopSignal?: string
  /** Durations are nanoseconds. */
  Healthcheck?: {
    Test: string[]
    Interval?: number
    Timeout?: number
    StartPeriod?: number
    Retries?: number
  }
}

const sha256 = (bytes: Uint8Array | string) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A layer of a few files that root owns, all of the same age. */
export function layerOf(files: ImageFile[]): Layer {
  return layerOfTar(Buffer.concat([...files.map(tarEntry), Buffer.alloc(1024)]))
}

export function layerOfTar(tar: Uint8Array): Layer {
  const gzipped = gzipSync(tar, { level: 1 })
  return { gzipped, digest: sha256(gzipped), diffId: sha256(tar) }
}

/** A layer that was compressed before, with the `diffIdOf` its tar. */
export function layerOfGzip(gzipped: Buffer, diffId: string): Layer {
  return { gzipped, digest: sha256(gzipped), diffId }
}

/** What an image's configuration calls a layer: the hash of its tar, not compressed. */
export const diffIdOf = (tar: Uint8Array): string => sha256(tar)

/** One file in the ustar format. */
function tarEntry(file: ImageFile): Buffer {
  const content = 'content' in file ? Buffer.from(file.content) : Buffer.alloc(0)
  const isFolder = 'folder' in file
  const header = Buffer.alloc(512)
  header.write(isFolder ? `${file.path}/` : file.path, 0)
  header.write(octal(file.mode ?? (isFolder ? 0o755 : 0o644), 8), 100)
  header.write(octal(0, 8), 108)
  header.write(octal(0, 8), 116)
  header.write(octal(content.length, 12), 124)
  header.write(octal(0, 12), 136)
  header.write('        ', 148)
  header.write(isFolder ? '5' : 'linkTo' in file ? '2' : '0', 156)
  if ('linkTo' in file) header.write(file.linkTo, 157)
  header.write('ustar\u000000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512)
  return Buffer.concat([header, content, padding])
}

const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`

/**
 * Sends an image to a registry under `name:tag`.
 *
 * @param registry `127.0.0.1:PORT`
 * @returns the digest of the manifest, as a pull and Compose files name it
 */
export async function pushImage(
  registry: string,
  reference: { name: string; tag: string },
  layers: Layer[],
  configuration: ImageConfiguration,
): Promise<string> {
  const base = `http://${registry}/v2/${reference.name}`
  const config = Buffer.from(
    JSON.stringify({
      architecture: { x64: 'amd64', ia32: '386' }[process.arch as string] ?? process.arch,
      os: 'linux',
      created: '2024-01-01T00:00:00Z',
      config: configuration,
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map(() => ({ created: '2024-01-01T00:00:00Z', created_by: 'the test rig' })),
    }),
  )
  for (const layer of layers) await pushBlob(base, layer.gzipped, layer.digest)
  await pushBlob(base, config, sha256(config))
  const docker = 'application/vnd.docker'
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: `${docker}.distribution.manifest.v2+json`,
    config: { mediaType: `${docker}.container.image.v1+json`, size: config.length, digest: sha256(config) },
    layers: layers.map((layer) => ({
      mediaType: `${docker}.image.rootfs.diff.tar.gzip`,
      size: layer.gzipped.length,
      digest: layer.digest,
    })),
  })
  await send(`${base}/manifests/${reference.tag}`, {
    method: 'PUT',
    headers: { 'content-type': `${docker}.distribution.manifest.v2+json` },
    body: manifest,
  })
  return sha256(manifest)
}

async function pushBlob(base: string, bytes: Buffer, digest: string): Promise<void> {
  const there = await fetch(`${base}/blobs/${digest}`, { method: 'HEAD' })
  if (there.ok) return
  const begun = await send(`${base}/blobs/uploads/`, { method: 'POST' })
  const upload = new URL(begun.headers.get('location') ?? '', `${base}/`)
  upload.searchParams.set('digest', digest)
  await send(upload.href, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: bytes,
  })
}

async function send(url: string, request: RequestInit): Promise<Response> {
  const response = await fetch(url, request)
  if (response.ok) return response
  throw new Error(
    `The registry answered ${response.status} to ${request.method} ${url}: ${await response.text()}`,
  )
}
