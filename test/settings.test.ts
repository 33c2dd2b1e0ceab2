import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { readSettings } from '../reconciler/settings.ts'
import { settingsOf } from '../reconciler/up/open-context.ts'
import { run } from './rig/process.ts'
import { tempFolder } from './rig/temp-folder.ts'

const read = (environment: Record<string, string>) => readSettings({ repository: false }, environment)
/** As `openssl rand -base64 32` prints one. */
const key = 'q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80='

describe('settings of backups', () => {
  test('none is needed: no key, AWS itself, a minute without progress', () => {
    expect(read({})).toMatchObject({ s3Endpoint: null, backupKey: null, storeTimeoutMs: 60_000 })
  })

  test.each([
    ['base64', key],
    ['hexadecimal', '0123456789abcdef'.repeat(4)],
  ])('a key may be written in %s, and prints as ***', (_, text) => {
    const { backupKey } = read({ SAMOVAR_BACKUP_KEY: text })
    expect(backupKey?.reveal()).toBe(text)
    expect(
      [String(backupKey), JSON.stringify({ backupKey }), inspect({ backupKey })].join(' '),
    ).not.toContain(text.slice(0, 8))
  })

  test('a key may lie in a file', async () => {
    await using folder = await tempFolder('settings')
    const file = join(folder.path, 'key')
    writeFileSync(file, `${key}\n`)
    expect(read({ SAMOVAR_BACKUP_KEY_FILE: file }).backupKey?.reveal()).toBe(key)
    expect(() => read({ SAMOVAR_BACKUP_KEY_FILE: file, SAMOVAR_BACKUP_KEY: key })).toThrow('are both set')
  })

  test.each(['hunter2', key.slice(0, 40), `${key}x`, 'zz'.repeat(32)])(
    'what is no key is refused without being shown: %s',
    (text) => {
      let message = ''
      try {
        read({ SAMOVAR_BACKUP_KEY: text })
      } catch (error) {
        message = String(error)
      }
      expect(message).toContain('SAMOVAR_BACKUP_KEY is not a key')
      expect(message).not.toContain(text)
    },
  )

  test('another S3 server is a web address', () => {
    expect(read({ SAMOVAR_S3_ENDPOINT: 'http://127.0.0.1:9000' }).s3Endpoint).toBe('http://127.0.0.1:9000')
    expect(() => read({ SAMOVAR_S3_ENDPOINT: 's3.example.com' })).toThrow('expected a URL')
  })

  test('the patience with a store is a duration above zero', () => {
    expect(read({ SAMOVAR_STORE_TIMEOUT: '5m' }).storeTimeoutMs).toBe(300_000)
    for (const text of ['0s', '60', 'soon'])
      expect(() => read({ SAMOVAR_STORE_TIMEOUT: text })).toThrow(`SAMOVAR_STORE_TIMEOUT is "${text}"`)
  })
})

describe('secrets that are made when Gitea is set up', () => {
  const missing = {
    SAMOVAR_GITEA_TOKEN_FILE: '/nowhere/gitea-token',
    SAMOVAR_WEBHOOK_SECRET_FILE: '/nowhere/webhook-secret',
    SAMOVAR_DIUN_TOKEN_FILE: '/nowhere/diun-token',
  }

  test('may be missing for what makes them and for a restore, and for nothing else', () => {
    expect(readSettings({ repository: false, makesSecrets: true }, missing)).toMatchObject({
      giteaToken: null,
      webhookSecret: null,
      diunToken: null,
      madeSecrets: { giteaToken: '/nowhere/gitea-token', webhookSecret: '/nowhere/webhook-secret' },
    })
    expect(() => read(missing)).toThrow(/gitea-token[^]*webhook-secret[^]*diun-token/)
  })

  test('lie with `up` beside the other secrets of the file of settings, unless they are named', () => {
    const wanted = { environmentFile: '/etc/samovar/environment', folder: '/root/host' }
    const made = (environment: Record<string, string>) =>
      settingsOf({ ...wanted, environment }, null).madeSecrets
    expect(made({ SAMOVAR_STATE_DIR: '/srv/state' })).toEqual({
      giteaToken: '/etc/samovar/secrets/gitea-token',
      webhookSecret: '/etc/samovar/secrets/webhook-secret',
    })
    expect(made(missing)).toEqual({
      giteaToken: '/nowhere/gitea-token',
      webhookSecret: '/nowhere/webhook-secret',
    })
    const given = { ...wanted, environment: { SAMOVAR_GITEA_TOKEN: 'given' } }
    expect(settingsOf(given, null).giteaToken?.reveal()).toBe('given')
  })
})

describe('the file that SAMOVAR_ENVIRONMENT_FILE names', () => {
  /** What a process has that was started with this file and this environment. */
  async function started(text: string, environment: Record<string, string> = {}) {
    await using folder = await tempFolder('environment')
    const file = join(folder.path, 'environment')
    writeFileSync(file, text)
    const print = "process.on('exit', () => console.error(JSON.stringify([process.env, process.pid])))"
    writeFileSync(join(folder.path, 'print.mjs'), print)
    const answer = await run(
      process.execPath,
      ['--import', join(folder.path, 'print.mjs'), 'reconciler/cli.ts', '--version'],
      { env: { PATH: process.env['PATH'] ?? '', SAMOVAR_ENVIRONMENT_FILE: file, ...environment } },
    )
    const [env] = JSON.parse(answer.stderr.split('\n').at(-2) ?? '') as [Record<string, string>]
    return { ...answer, env }
  }

  test('is read as the unit reads it: a # in a value, quotes and spaces stay', async () => {
    const { env } = await started(
      `# secret\nA=pa#ss word \nB="it's # \\"so\\""\nC='$HOME \`x\`'\nD=a"b"\n#E=1\n`,
    )
    expect(env).toMatchObject({ A: 'pa#ss word', B: `it's # "so"`, C: '$HOME `x`', D: 'a"b"' })
    expect(env).not.toHaveProperty('E')
  })

  test('is below the environment of the process, with and without _FILE', async () => {
    const { env } = await started('A=file\nB=file\nC_FILE=/file\nD=file\nE=file\n', {
      A: 'process',
      B: '',
      C: 'process',
      D_FILE: '/process',
    })
    expect(env).toMatchObject({ A: 'process', B: '', C: 'process', D_FILE: '/process', E: 'file' })
    expect(env).not.toHaveProperty('C_FILE')
    expect(env).not.toHaveProperty('D')
  })

  test('reaches Node, too: it is started again with what it reads at its start', async () => {
    const { env, stderr, stdout } = await started('NODE_EXTRA_CA_CERTS=/nowhere/ca.pem\nA="x y"\n')
    expect(env).toMatchObject({ NODE_EXTRA_CA_CERTS: '/nowhere/ca.pem', A: 'x y' })
    expect(stderr).toContain('Ignoring extra certs from `/nowhere/ca.pem`')
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  test('may be missing; one that cannot be read is a sentence', async () => {
    await using folder = await tempFolder('environment')
    const call = (file: string) =>
      run(process.execPath, ['reconciler/cli.ts', '--version'], {
        env: { PATH: process.env['PATH'] ?? '', SAMOVAR_ENVIRONMENT_FILE: file },
      })
    expect(await call(join(folder.path, 'none'))).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await call(folder.path)).toMatchObject({
      exitCode: 1,
      stderr: `samovar: ${folder.path} cannot be read: EISDIR\nnext: run this as root\n`,
    })
  })
})
