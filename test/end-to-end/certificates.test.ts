import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makePebbleCertificate, pebblePort, pushCertbot, pushPebble } from '../rig/acme-images.ts'
import { mustRun, run } from '../rig/process.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { useRig } from '../rig/use-rig.ts'

/**
 * compose/certbot/certificates.sh with real certbot against a real ACME server, which asks for its challenges over HTTP
 * by the name of the host; here a small web server stands where nginx would.
 */
const rig = useRig()
const name = rig.project('certificates')
const script = resolve(import.meta.dirname, '../../compose/certbot')
const labels = ['--label', `com.docker.compose.project=${name}`]
const env = { ...process.env, ...rig.environment }
const folder = await tempFolder('pebble')
let authority = ''
const docker = (...words: string[]) => mustRun('docker', words, { env })

beforeAll(async () => {
  await pushCertbot(rig.registry, rig.cacheFolder)
  await pushPebble(rig.registry, rig.cacheFolder)
  const tls = join(folder.path, 'tls')
  authority = await makePebbleCertificate(tls, ['pebble', 'pebble-2'])
  await docker('network', 'create', ...labels, name)
  for (const volume of ['certificates', 'challenges'])
    await docker('volume', 'create', ...labels, `${name}-${volume}`)
  const start = (as: string, ...words: string[]) =>
    docker(
      'run',
      '-d',
      '--name',
      `${name}-${as}`,
      '--network',
      name,
      '--network-alias',
      as,
      ...labels,
      ...words,
    )
  for (const each of ['pebble', 'pebble-2'])
    await start(each, '-v', `${tls}:/etc/pebble/tls:ro`, rig.image('pebble', '2.4.0'))
  await start(
    'git.example.test',
    ...['--network-alias', 'code.example.test', '-v', `${name}-challenges:/www:ro`, '--entrypoint', 'httpd'],
    ...[rig.image('web', '1.0.0'), '-f', '-p', '80', '-h', '/www'],
  )
})

afterAll(async () => {
  const ours = (await docker('ps', '-aq', '--filter', `label=com.docker.compose.project=${name}`))
    .trim()
    .split('\n')
  await run('docker', ['rm', '-fv', ...ours], { env })
  await run('docker', ['volume', 'rm', `${name}-certificates`, `${name}-challenges`], { env })
  await run('docker', ['network', 'rm', name], { env })
  await folder[Symbol.asyncDispose]()
})

/** As compose.yaml runs it. */
const certificates = (command: string, settings: Record<string, string> = {}) =>
  run(
    'docker',
    [
      ...['run', '--rm', '--network', command === 'throw-away' ? 'none' : name, ...labels, '--read-only'],
      ...['--cap-drop', 'ALL', '--security-opt', 'no-new-privileges:true'],
      ...['--tmpfs', '/tmp', '--tmpfs', '/var/lib/letsencrypt', '--tmpfs', '/var/log/letsencrypt'],
      ...['-v', `${script}:/etc/certificates:ro`, '-v', `${authority}:/etc/authority.pem:ro`],
      ...['-v', `${name}-certificates:/etc/letsencrypt`, '-v', `${name}-challenges:/var/www/acme`],
      ...Object.entries({
        DOMAIN: 'git.example.test',
        EMAIL: '',
        ACME_SERVER: `https://pebble:${pebblePort}/dir`,
        REQUESTS_CA_BUNDLE: '/etc/authority.pem',
        ...settings,
      }).flatMap(([key, value]) => ['-e', `${key}=${value}`]),
      ...['--entrypoint', 'sh', rig.image('certbot', 'v2.1.0'), '/etc/certificates/certificates.sh', command],
    ],
    { env, timeoutMs: 60_000 },
  )

/** Who says so, for whom, and its serial number: what a visitor is shown. */
const shown = async (): Promise<string> =>
  docker(
    ...[
      'run',
      '--rm',
      ...labels,
      '-v',
      `${name}-certificates:/etc/letsencrypt:ro`,
      '--entrypoint',
      'openssl',
    ],
    ...[rig.image('certbot', 'v2.1.0'), 'x509', '-in', '/etc/letsencrypt/live/gitea/fullchain.pem', '-noout'],
    ...['-issuer', '-serial', '-ext', 'subjectAltName'],
  )

test('before the first certificate there is a throw-away one, made once', async () => {
  expect(await certificates('throw-away')).toMatchObject({ exitCode: 0 })
  const first = await shown()
  expect(first).toMatch(/issuer=CN = throw-away/)
  expect(first).toContain('DNS:git.example.test')
  expect(await certificates('throw-away')).toMatchObject({ exitCode: 0 })
  expect(await shown()).toBe(first)
})

test('an ACME server that is away leaves the throw-away one in its place, and the job has failed', async () => {
  const before = await shown()
  const { exitCode } = await certificates('renew', { ACME_SERVER: 'https://nobody:14000/dir' })
  expect(exitCode).not.toBe(0)
  expect(await shown()).toBe(before)
})

test('the first real one takes its place; as long as it is good, the next run changes nothing', async () => {
  expect(await certificates('renew')).toMatchObject({ exitCode: 0 })
  const real = await shown()
  expect(real).toMatch(/issuer=CN = Pebble Intermediate CA/)
  expect(real).toContain('DNS:git.example.test')
  expect(await certificates('renew')).toMatchObject({ exitCode: 0 })
  expect(await shown()).toBe(real)
  // A host that starts again does not go back to the throw-away one.
  expect(await certificates('throw-away')).toMatchObject({ exitCode: 0 })
  expect(await shown()).toBe(real)
})

test('another name and another server get another certificate', async () => {
  const before = await shown()
  expect(await certificates('renew', { DOMAIN: 'code.example.test' })).toMatchObject({ exitCode: 0 })
  const renamed = await shown()
  expect(renamed).toContain('DNS:code.example.test')
  const settings = { DOMAIN: 'code.example.test', ACME_SERVER: `https://pebble-2:${pebblePort}/dir` }
  expect(await certificates('renew', settings)).toMatchObject({ exitCode: 0 })
  const moved = await shown()
  expect(new Set([before, renamed, moved]).size).toBe(3)
  expect(await certificates('renew', settings)).toMatchObject({ exitCode: 0 })
  expect(await shown()).toBe(moved)
})

test('a new one may be asked for by a file, once', async () => {
  const settings = { DOMAIN: 'code.example.test', ACME_SERVER: `https://pebble-2:${pebblePort}/dir` }
  const before = await shown()
  await docker(
    ...['run', '--rm', ...labels, '-v', `${name}-certificates:/etc/letsencrypt`, '--entrypoint', 'touch'],
    ...[rig.image('certbot', 'v2.1.0'), '/etc/letsencrypt/renew-now'],
  )
  expect(await certificates('renew', settings)).toMatchObject({ exitCode: 0 })
  const renewed = await shown()
  expect(renewed).not.toBe(before)
  expect(await certificates('renew', settings)).toMatchObject({ exitCode: 0 })
  expect(await shown()).toBe(renewed)
})
