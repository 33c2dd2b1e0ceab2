import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  makeSecretFile,
  missingFiles,
  missingVariables,
  registrationFiles,
} from '../../reconciler/up/host-secrets.ts'
import { makeSecrets, secretsToMake } from '../../reconciler/up/make-secrets.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const hostOf = (folder: string) => ({
  variables: {
    DOMAIN: 'git.example.com',
    POSTGRES_PASSWORD: { secret: `file:${folder}/secrets/postgres-password` },
    DIUN_TOKEN: { secret: `file:${folder}/secrets/diun-token` },
    MAIL_PASSWORD: { secret: `file:${folder}/secrets/mail-password` },
    RUNNER_TOKEN: { secret: `file:${folder}/secrets/runner-token` },
    LICENSE: { secret: 'env:LICENSE' },
    KEY: { secret: 'aws-sm:gitea#key' },
  },
})

test('missing secrets are made once, for their owner alone, and what nobody but others know is left out', async () => {
  await using folder = await tempFolder('secrets')
  const host = hostOf(folder.path)
  expect(secretsToMake(host)).toHaveLength(2)
  const steps = [...makeSecrets(host, 0)]
  expect(steps.map((step) => step.result)).toEqual(['done', 'done'])
  const at = join(folder.path, 'secrets')
  expect((await readdir(at)).toSorted()).toEqual(['diun-token', 'postgres-password'])
  const password = await readFile(join(at, 'postgres-password'), 'utf8')
  expect(password).toMatch(/^[0-9a-f]{64}\n$/)
  for (const name of await readdir(at)) expect((await stat(join(at, name))).mode & 0o777).toBe(0o600)
  expect((await stat(at)).mode & 0o777).toBe(0o700)
  expect(steps.map((step) => step.said).join()).not.toContain(password.trim())

  expect([...makeSecrets(host, 0)]).toEqual([])
  expect(await readFile(join(at, 'postgres-password'), 'utf8')).toBe(password)
  expect(missingFiles(host).map((each) => each.variable)).toEqual(['MAIL_PASSWORD'])
})

test('a file that somebody made meanwhile is never replaced; an empty one holds nothing', async () => {
  await using folder = await tempFolder('secrets')
  const path = join(folder.path, 'key')
  await writeFile(path, 'theirs\n')
  expect(makeSecretFile(path, 'ours')).toBe(false)
  expect(await readFile(path, 'utf8')).toBe('theirs\n')
  await writeFile(path, '')
  expect(makeSecretFile(path, 'ours')).toBe(true)
  expect(await readFile(path, 'utf8')).toBe('ours\n')
  expect(await readdir(folder.path)).toEqual(['key'])
})

test('variables of the environment that are not set, and files for the token of runners, are found', () => {
  const host = hostOf('/etc/samovar')
  expect(missingVariables(host, () => undefined)).toEqual(['LICENSE'])
  expect(missingVariables(host, () => 'here')).toEqual([])
  expect(registrationFiles(host)).toEqual(['/etc/samovar/secrets/runner-token'])
})

test('a folder that cannot be made is a sentence with the next step', async () => {
  await using folder = await tempFolder('secrets')
  await writeFile(join(folder.path, 'file'), '')
  expect(() => makeSecretFile(join(folder.path, 'file', 'key'), 'ours')).toThrow(
    expect.objectContaining({ code: 'settings-invalid', next: expect.stringContaining('root') as string }),
  )
})
