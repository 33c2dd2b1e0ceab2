import { chmodSync, existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Finished, mustRun, run } from '../rig/process.ts'
import { tempFolder } from '../rig/temp-folder.ts'

/**
 * Stands in for certbot: writes down its words, keeps a certificate until it is forced, fails when it is told to, and
 * refuses a folder of that name that it did not make, as the real one does.
 */
const certbot = `#!/bin/sh
echo "$@" >> "$CERTIFICATES/../words"
[ -e "$CERTIFICATES/../fails" ] && { echo 'Some challenges have failed.' >&2; exit 1; }
[ -e live/host ] && [ ! -e renewal/host.conf ] && { echo 'live directory exists for host' >&2; exit 1; }
case "$*" in *--force-renewal*) : ;; *) [ -e live/host ] && exit 0 ;; esac
mkdir -p live/host renewal
date +%N > live/host/fullchain.pem
echo key > live/host/privkey.pem
echo "server = $ACME_SERVER" > renewal/host.conf
`

async function host() {
  const folder = await tempFolder('certificates')
  const bin = join(folder.path, 'bin')
  const certificates = join(folder.path, 'letsencrypt')
  for (const each of [bin, certificates]) mkdirSync(each)
  writeFileSync(join(bin, 'certbot'), certbot)
  chmodSync(join(bin, 'certbot'), 0o755)
  const script = resolve('compose/certbot/certificates.sh')
  const call = (command: string, more: Record<string, string> = {}): Promise<Finished> =>
    run('sh', [script, command], {
      env: {
        PATH: `${bin}:${process.env['PATH'] ?? ''}`,
        CERTIFICATES: certificates,
        DOMAIN: 'git.example.com',
        EMAIL: 'admin@example.com',
        ACME_SERVER: 'https://acme.example.com/directory',
        ...more,
      },
      timeoutMs: 20_000,
    })
  return {
    call,
    path: (name: string) => join(folder.path, name),
    served: () => readlinkSync(join(certificates, 'live/gitea')),
    text: (name: string) => readFileSync(join(certificates, 'live/gitea', name), 'utf8'),
    words: () => readFileSync(join(folder.path, 'words'), 'utf8').trim().split('\n'),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

describe('certificates.sh', () => {
  test('makes a throw-away certificate for the name of the host where there is none, and only there', async () => {
    await using at = await host()
    expect((await at.call('throw-away')).exitCode).toBe(0)
    expect(at.served()).toBe('../throw-away')
    const shown = [
      'x509',
      '-noout',
      '-ext',
      'subjectAltName',
      '-in',
      at.path('letsencrypt/live/gitea/fullchain.pem'),
    ]
    expect(await mustRun('openssl', shown)).toContain('DNS:git.example.com')
    const first = at.text('privkey.pem')
    expect((await at.call('throw-away')).exitCode).toBe(0)
    expect(at.text('privkey.pem')).toBe(first)
  })

  test('puts the real one in its place, which certbot had not made, and keeps it until it is time', async () => {
    await using at = await host()
    await at.call('throw-away')
    expect((await at.call('renew')).exitCode).toBe(0)
    expect(at.served()).toBe('host')
    expect(existsSync(at.path('letsencrypt/throw-away'))).toBe(false)
    const first = at.text('fullchain.pem')
    expect((await at.call('renew')).exitCode).toBe(0)
    expect(at.text('fullchain.pem')).toBe(first)
    expect((await at.call('throw-away')).exitCode).toBe(0)
    expect(at.served()).toBe('host')
    expect(at.words()[0]).toBe(
      'certonly --non-interactive --agree-tos --email admin@example.com --server https://acme.example.com/directory --cert-name host --domain git.example.com --webroot --webroot-path /var/www/acme --keep-until-expiring --renew-with-new-domains',
    )
  })

  test('leaves what is served as it is when the authority says no, and fails', async () => {
    await using at = await host()
    await at.call('throw-away')
    writeFileSync(at.path('fails'), '')
    const { exitCode, stderr } = await at.call('renew')
    expect(exitCode).toBe(1)
    expect(stderr).toContain('challenges have failed')
    expect(at.served()).toBe('../throw-away')
    expect(at.text('fullchain.pem')).toContain('BEGIN CERTIFICATE')
    rmSync(at.path('fails'))
    expect((await at.call('renew')).exitCode).toBe(0)
    expect(at.served()).toBe('host')
  })

  test('gets a new certificate when another server is named', async () => {
    await using at = await host()
    await at.call('throw-away')
    await at.call('renew')
    const first = at.text('fullchain.pem')
    const other = { ACME_SERVER: 'https://other.example.com/directory' }
    expect((await at.call('renew', other)).exitCode).toBe(0)
    expect(at.text('fullchain.pem')).not.toBe(first)
    const second = at.text('fullchain.pem')
    await at.call('renew', other)
    expect(at.text('fullchain.pem')).toBe(second)
  })

  test('finds the certificate again when the link was lost', async () => {
    await using at = await host()
    await at.call('throw-away')
    await at.call('renew')
    rmSync(at.path('letsencrypt/live/gitea'))
    expect((await at.call('throw-away')).exitCode).toBe(0)
    expect(at.served()).toBe('host')
  })

  test('registers without an address where none is given', async () => {
    await using at = await host()
    await at.call('renew', { EMAIL: '' })
    expect(at.words()[0]).toContain('--register-unsafely-without-email')
    expect(at.words()[0]).not.toContain('--email')
  })

  test('refuses what it does not know', async () => {
    await using at = await host()
    expect((await at.call('issue')).exitCode).toBe(2)
  })
})

test('Diun gets its token from the file, in the environment of its own process and in no argument', async () => {
  await using folder = await tempFolder('diun')
  const program = join(folder.path, 'diun')
  writeFileSync(program, '#!/bin/sh\necho "$*"\necho "$DIUN_NOTIF_WEBHOOK_HEADERS_AUTHORIZATION"\n')
  chmodSync(program, 0o755)
  writeFileSync(join(folder.path, 'token'), 'a-token\n')
  const { stdout } = await run('sh', [resolve('compose/diun/start.sh')], {
    env: { PATH: `${folder.path}:${process.env['PATH'] ?? ''}`, TOKEN_FILE: join(folder.path, 'token') },
    timeoutMs: 20_000,
  })
  expect(stdout).toBe('serve\nBearer a-token\n')
})

test('what a mounted folder has to run can be run', async () => {
  const modes = await mustRun('stat', ['-c', '%a', 'compose/runner/bin/samovar', 'compose/runner/bin/node'])
  expect(modes.trim().split('\n')).toEqual(['755', '755'])
})
