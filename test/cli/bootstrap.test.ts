import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { readSettings } from '../../reconciler/settings.ts'
import { run } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const bootstrap = (args: string[], environment: Record<string, string>) =>
  run(process.execPath, ['reconciler/cli.ts', 'bootstrap', ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    timeoutMs: 20_000,
  })

describe('samovar bootstrap', () => {
  test('lists everything that is missing at once', async () => {
    await using folder = await tempFolder('no-settings')
    const { exitCode, stderr } = await bootstrap(
      ['--approvals', 'many', '--deploy-key', '/nowhere/key.pub', '--bot', 'bad name'],
      {
        SAMOVAR_STATE_DIR: folder.path,
        SAMOVAR_PUBLIC_URL: 'https://samovar.example.com',
      },
    )
    expect(exitCode).toBe(1)
    for (const part of [
      'SAMOVAR_GITEA_URL is not set',
      'SAMOVAR_GITEA_ADMIN_USER and SAMOVAR_GITEA_ADMIN_PASSWORD (or _FILE) are not set',
      '--approvals is "many"',
      '--deploy-key names /nowhere/key.pub, which cannot be read (ENOENT)',
      '--bot is "bad name"; expected a login of Gitea such as samovar',
      'next: Correct the options and variables above',
    ])
      expect(stderr).toContain(part)
  })

  test('a private key for --deploy-key is refused before Gitea is asked', async () => {
    await using folder = await tempFolder('private-key')
    const file = join(folder.path, 'key')
    writeFileSync(file, '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n')
    const { stderr } = await bootstrap(['--deploy-key', file], { SAMOVAR_STATE_DIR: folder.path })
    expect(stderr).toContain(`${file} (--deploy-key) holds no public key`)
    expect(stderr).not.toContain('b3BlbnNzaC1rZXktdjE')
  })

  test('a Gitea that does not answer is told with what to check, and nothing is written', async () => {
    await using folder = await tempFolder('no-gitea')
    const environment = {
      SAMOVAR_STATE_DIR: join(folder.path, 'state'),
      SAMOVAR_GITEA_URL: `http://127.0.0.1:${await freePort()}`,
      SAMOVAR_REPOSITORY: 'https://git.example.com/ops/host.git',
      SAMOVAR_GITEA_ADMIN_USER: 'alice',
      SAMOVAR_GITEA_ADMIN_PASSWORD: 'correct-horse-battery',
    }
    const { exitCode, stdout, stderr } = await bootstrap([], environment)
    expect([exitCode, stdout]).toEqual([1, ''])
    expect(stderr).toContain(
      `next: Check SAMOVAR_GITEA_URL: ${environment.SAMOVAR_GITEA_URL} does not answer as Gitea`,
    )
    expect(stderr).not.toContain('two factors')
    expect(stderr).not.toContain('correct-horse')
    expect(existsSync(environment.SAMOVAR_STATE_DIR)).toBe(false)
  })
})

describe('a password that is not accepted', () => {
  test('is told as that, with the settings to check, and is not printed', async () => {
    await using folder = await tempFolder('refused')
    const message = JSON.stringify({ message: 'invalid username, password or token' })
    const gitea = createServer((_, answer) =>
      answer.writeHead(401, { 'content-type': 'application/json' }).end(message),
    )
    await new Promise<void>((resolve) => gitea.listen(0, '127.0.0.1', resolve))
    const { exitCode, stdout, stderr } = await bootstrap(['--json'], {
      SAMOVAR_STATE_DIR: folder.path,
      SAMOVAR_GITEA_URL: `http://127.0.0.1:${(gitea.address() as AddressInfo).port}`,
      SAMOVAR_GITEA_REPOSITORY: 'ops/host',
      SAMOVAR_GITEA_ADMIN_USER: 'alice',
      SAMOVAR_GITEA_ADMIN_PASSWORD: 'correct-horse-battery',
    })
    gitea.close()
    expect(exitCode).toBe(1)
    expect(stderr).toContain("does not accept the administrator's password")
    expect(stderr).toMatch(/next: Check SAMOVAR_GITEA_ADMIN_USER and .* two factors/)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'forge-unreachable' } })
    expect(stdout + stderr).not.toContain('correct-horse')
  })
})

describe('settings of bootstrap', () => {
  const read = (environment: Record<string, string>, makesSecrets = false) =>
    readSettings({ repository: false, makesSecrets }, environment)

  test('an administrator is a name with a password, which prints as ***', () => {
    const { giteaAdmin } = read({ SAMOVAR_GITEA_ADMIN_USER: 'alice', SAMOVAR_GITEA_ADMIN_PASSWORD: 'pass-1' })
    expect([giteaAdmin?.user, giteaAdmin?.password.reveal()]).toEqual(['alice', 'pass-1'])
    expect([JSON.stringify(giteaAdmin), inspect(giteaAdmin)].join(' ')).not.toContain('pass-1')
    expect(read({}).giteaAdmin).toBeNull()
    expect(() => read({ SAMOVAR_GITEA_ADMIN_USER: 'alice' })).toThrow(
      'SAMOVAR_GITEA_ADMIN_PASSWORD (or _FILE) is not',
    )
    expect(() => read({ SAMOVAR_GITEA_ADMIN_PASSWORD: 'pass-1' })).toThrow('SAMOVAR_GITEA_ADMIN_USER is not')
  })

  test('a file of the password that is missing is told once', () => {
    const environment = {
      SAMOVAR_GITEA_ADMIN_USER: 'alice',
      SAMOVAR_GITEA_ADMIN_PASSWORD_FILE: '/nowhere/password',
    }
    expect(() => read(environment)).toThrow(
      /^SAMOVAR_GITEA_ADMIN_PASSWORD_FILE names \/nowhere\/password, which cannot be read \(ENOENT\)$/,
    )
  })

  test('the files it makes may be named before they are there, for bootstrap alone', async () => {
    await using folder = await tempFolder('made-later')
    const environment = {
      SAMOVAR_GITEA_TOKEN_FILE: join(folder.path, 'token'),
      SAMOVAR_WEBHOOK_SECRET_FILE: join(folder.path, 'secret'),
    }
    const settings = read(environment, true)
    expect([settings.giteaToken, settings.webhookSecret]).toEqual([null, null])
    expect(settings.madeSecrets).toEqual({
      giteaToken: environment.SAMOVAR_GITEA_TOKEN_FILE,
      webhookSecret: environment.SAMOVAR_WEBHOOK_SECRET_FILE,
    })
    expect(() => read(environment)).toThrow(/TOKEN_FILE names .*cannot be read[^]*SECRET_FILE names/)
    expect(read({ SAMOVAR_STATE_DIR: '/srv/samovar' }).madeSecrets.giteaToken).toBe(
      '/srv/samovar/gitea-token',
    )
  })
})
