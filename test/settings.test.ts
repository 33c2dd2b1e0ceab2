import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { readSettings } from '../reconciler/settings.ts'
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
