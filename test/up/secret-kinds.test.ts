import { Buffer } from 'node:buffer'
import { describe, expect, test } from 'vitest'
import { isRegistrationToken, secretKind } from '../../reconciler/up/secret-kinds.ts'

const at = Date.UTC(2026, 0, 2)
const made = (variable: string): string => secretKind(variable)?.make(at) ?? ''

describe('secrets that up makes have the formats of who reads them', () => {
  test('SECRET_KEY of Gitea is 64 letters and digits, another one each time', () => {
    expect(made('GITEA_SECRET_KEY')).toMatch(/^[0-9A-Za-z]{64}$/)
    expect(made('GITEA_SECRET_KEY')).not.toBe(made('GITEA_SECRET_KEY'))
  })

  test('INTERNAL_TOKEN of Gitea is a JWT that counts since now', () => {
    const [head = '', content = '', signature = ''] = made('GITEA_INTERNAL_TOKEN').split('.')
    const read = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString())
    expect(read(head)).toEqual({ alg: 'HS256', typ: 'JWT' })
    expect(read(content)).toEqual({ nbf: at / 1000 })
    expect(Buffer.from(signature, 'base64url')).toHaveLength(32)
  })

  test.each(['GITEA_LFS_JWT_SECRET', 'GITEA_OAUTH2_JWT_SECRET'])(
    '%s is 32 bytes in base64url without padding, or Gitea would replace it',
    (variable) => {
      expect(made(variable)).toMatch(/^[\w-]{43}$/)
      expect(Buffer.from(made(variable), 'base64url')).toHaveLength(32)
    },
  )

  test.each(['POSTGRES_PASSWORD', 'GITEA_METRICS_TOKEN', 'DIUN_TOKEN'])(
    '%s needs no quoting, wherever it is put',
    (variable) => {
      expect(made(variable)).toMatch(/^[0-9a-f]{64}$/)
    },
  )
})

test('what encrypts or opens data is never made anew while there is data', () => {
  const binding = ['GITEA_SECRET_KEY', 'POSTGRES_PASSWORD'].map((each) => secretKind(each)?.bindsData)
  const others = ['GITEA_INTERNAL_TOKEN', 'DIUN_TOKEN', 'GITEA_LFS_JWT_SECRET'].map(
    (each) => secretKind(each)?.bindsData,
  )
  expect(binding).toEqual([true, true])
  expect(others).toEqual([false, false, false])
})

test('what only others know is not made up', () => {
  const known = ['GITEA_MAIL_PASSWORD', 'SMTP_PASSWORD', 'AWS_SECRET_ACCESS_KEY', 'RUNNER_TOKEN', 'LICENSE']
  expect(known.map((each) => secretKind(each))).toEqual(known.map(() => null))
})

test('the token of runners is known by its name', () => {
  expect(
    ['RUNNER_TOKEN', 'RUNNER_REGISTRATION_TOKEN', 'GITEA_RUNNER_TOKEN', 'DIUN_TOKEN'].map(
      isRegistrationToken,
    ),
  ).toEqual([true, true, true, false])
})
