import { expect, test } from 'vitest'
import { formsOf } from '../../reconciler/secrets/forms.ts'
import { masked } from '../../reconciler/work.ts'

const secret = 'p@ss/w"rd+ä'
const base64 = Buffer.from(secret).toString('base64')

test.each([
  ['as it is', `cannot log in with ${secret}.`],
  ['in an address', `postgres://gitea:${encodeURIComponent(secret)}@db`],
  ['in JSON', JSON.stringify({ secret })],
  ['in base64', `Authorization: ${base64}`],
  ['in base64 without padding', base64.replace(/=+$/, '')],
  ['in the base64 of addresses', Buffer.from(secret).toString('base64url')],
  ['in hexadecimal', Buffer.from(secret).toString('hex')],
])('a secret is masked %s', (_, text) => {
  const safe = masked(text, new Set([secret]))
  expect(safe).toContain('***')
  for (const form of formsOf(secret)) expect(safe).not.toContain(form)
})

test('a key of several lines is masked line by line, and a short secret only as it is', () => {
  const key = '-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----'
  expect(masked('loading hkiG9w0BAQEFAASC', new Set([key]))).toBe('loading ***')
  expect(formsOf('abc')).toEqual(['abc'])
  expect(masked('a text', new Set(['']))).toBe('a text')
  expect(formsOf('broken \ud800 text')).toContain('broken%20%EF%BF%BD%20text')
})
