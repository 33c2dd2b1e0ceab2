import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { tempFolder } from '../rig/temp-folder.ts'

export type LocalServer = { url: string; port: number; [Symbol.asyncDispose](): Promise<void> }

export async function listen(server: Server, host = '127.0.0.1', scheme = 'http'): Promise<LocalServer> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const { port } = server.address() as AddressInfo
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  const name = host.includes(':') ? `[${host}]` : host
  return { url: `${scheme}://${name}:${port}`, port, [Symbol.asyncDispose]: close }
}

/** A web server that answers every request in the same way. */
export function serve(listener: RequestListener, host?: string): Promise<LocalServer> {
  return listen(createPlainServer(listener), host)
}

export type OwnAuthority = { root: string } & AsyncDisposable

/** A certificate authority made on the spot (`ca.pem`) and a certificate of it for `localhost` and 127.0.0.1. */
export async function ownAuthority(): Promise<OwnAuthority> {
  const folder = await tempFolder('authority')
  const root = folder.path
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: root, stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=Own authority',
    '-days',
    '2',
  )
  openssl(
    ...['req', '-x509', ...key, '-keyout', 'server.key', '-out', 'server.pem', '-subj', '/CN=localhost'],
    ...['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-addext', 'basicConstraints=critical,CA:FALSE', '-days', '2'],
  )
  return { root, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

export function serveTls(authority: OwnAuthority, listener: RequestListener): Promise<LocalServer> {
  const read = (name: string) => readFileSync(join(authority.root, name))
  return listen(
    createTlsServer({ key: read('server.key'), cert: read('server.pem') }, listener),
    '127.0.0.1',
    'https',
  )
}
