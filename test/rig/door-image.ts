import { join } from 'node:path'
import { gitAndNodeLayer } from './gitea-image.ts'
import { baseLayer } from './images.ts'
import { withMachineLock } from './machine-lock.ts'
import type { Say } from './packages.ts'
import { postgresLayer } from './postgres-image.ts'
import { layerOf, pushImage } from './push-image.ts'

/**
 * `door`: what stands behind a reverse proxy in its tests, on port 3000. `GET /version` `{"version":"1.0.0"}`,
 * `GET /headers` what arrived, `POST /upload?id=..` counts and hashes the body, `/die` does and hangs up, `/socket` a WebSocket that echoes,
 * `GET /assets/large.js` something to compress. Told to stop, it finishes what it has.
 *
 * Every upload leaves two lines in the volume /data, which all versions share: when it begins, and what came of it.
 *
 * @param registry `127.0.0.1:PORT`
 * @param cacheFolder the rig's
 */
export async function pushDoor(registry: string, cacheFolder: string, say: Say = () => {}): Promise<void> {
  const layers = [
    await baseLayer(say),
    await postgresLayer(cacheFolder, say),
    await gitAndNodeLayer(cacheFolder, say),
    layerOf([{ path: 'bin/door.mjs', content: program }]),
  ]
  await withMachineLock(join(cacheFolder, 'gitea', 'push.lock.db'), async () => {
    for (const [tag, startsAfterMs] of Object.entries(doorVersions)) {
      const own = layerOf([
        { path: 'etc/door.json', content: JSON.stringify({ version: tag, startsAfterMs }) },
      ])
      await pushImage(registry, { name: 'door', tag }, [...layers, own], {
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        Cmd: ['/usr/local/bin/node', '/bin/door.mjs'],
        ExposedPorts: { '3000/tcp': {} },
        Labels: { 'org.opencontainers.image.version': tag },
      })
    }
  })
}

/** Milliseconds until each listens; null: it never does. */
export const doorVersions: Record<string, number | null> = {
  '1.0.0': 0,
  '1.1.0': 1_500,
  '1.2.0': 1_500,
  '1.3.0': 15_000,
  '2.0.0': null,
}

const program = `
import { createHash } from 'node:crypto'
import { appendFileSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
const { version, startsAfterMs } = JSON.parse(readFileSync('/etc/door.json', 'utf8'))
const note = (line) => appendFileSync('/data/uploads', JSON.stringify({ version, ...line }) + '\\n')
const json = (response, value) => {
  response.writeHead(200, { 'content-type': 'application/json', 'x-frame-options': 'DENY' })
  response.end(JSON.stringify(value))
}
const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://door')
  if (request.method === 'POST') {
    const id = url.searchParams.get('id')
    note({ id, begun: true })
    const hash = createHash('sha256')
    let bytes = 0
    request.on('data', (part) => { hash.update(part); bytes += part.length })
    request.on('end', () => {
      const sha256 = hash.digest('hex')
      note({ id, bytes, sha256 })
      if (url.pathname === '/die') return request.socket.destroy()
      json(response, { version, bytes, sha256 })
    })
    return
  }
  if (url.pathname === '/headers') return json(response, request.headers)
  if (url.pathname === '/assets/large.js') {
    response.writeHead(200, { 'content-type': 'text/javascript' })
    return response.end('let a = 1\\n'.repeat(2000))
  }
  if (url.pathname === '/busy') { response.writeHead(503); return response.end('the door is busy') }
  json(response, { version })
})
server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n')
  socket.on('data', (frame) => {
    if ((frame[0] & 15) === 8) return socket.end()
    const length = frame[1] & 127
    const mask = frame.subarray(2, 6)
    const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4]))
    socket.write(Buffer.concat([Buffer.from([129, length]), text]))
  })
  socket.on('error', () => {})
})
server.requestTimeout = 0
process.on('SIGTERM', () => {
  if (!server.listening) process.exit(0)
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})
if (startsAfterMs === null) setInterval(() => {}, 1000)
else setTimeout(() => server.listen(3000, '0.0.0.0'), startsAfterMs)
`
