import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { readMailAddress } from '../../reconciler/notify/mail-route.ts'
import { sesPassword } from '../../reconciler/notify/ses-password.ts'
import { readSettings } from '../../reconciler/settings.ts'

const from = { SMTP_FROM: 'Samovar <samovar@example.com>' }
const mail = (environment: Record<string, string>) =>
  readSettings({ repository: false }, { ...from, ...environment }).mail
const route = (url: string, more: Record<string, string> = {}) => mail({ SMTP_URL: url, ...more })?.route

function problems(environment: Record<string, string>): string {
  try {
    mail(environment)
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

describe('SMTP_URL', () => {
  test.each([
    ['smtps://u:p@mail.example.com', { host: 'mail.example.com', port: 465, tls: 'implicit' }],
    ['smtp://u:p@mail.example.com', { port: 587, tls: 'starttls' }],
    ['smtp://u:p@mail.example.com:2587', { port: 2587, tls: 'starttls' }],
    ['smtp://mail.example.com:25?tls=none', { port: 25, tls: 'none', login: null }],
    ['smtp://localhost', { host: 'localhost', port: 25, tls: 'none' }],
    ['smtp://127.0.0.1:2525', { host: '127.0.0.1', port: 2525, tls: 'none' }],
    ['smtp://[::1]:2525?tls=starttls', { host: '::1', tls: 'starttls' }],
    ['smtps://mail.example.com?ca=/etc/ssl/own.pem', { ca: '/etc/ssl/own.pem' }],
    ['ses://eu-central-1', { kind: 'ses', region: 'eu-central-1', endpoint: null }],
  ])('%s is understood: outside of the loopback address only with TLS', (url, expected) => {
    expect(route(url)).toMatchObject(expected)
  })

  test('may have any sign in user and password, written with a %', () => {
    const found = route('smtps://ops%40example.com:a%3Ab%2F%23%25@mail.example.com')
    if (found?.kind !== 'smtp') throw new Error('not a route by SMTP')
    expect([found.login?.user, found.login?.password.reveal()]).toEqual(['ops@example.com', 'a:b/#%'])
    expect(inspect(found, { depth: 9 }) + JSON.stringify(found)).not.toContain('a:b')
  })

  test.each([
    'mail.example.com',
    'https://u:hunter2@mail.example.com',
    'smtp://u:hunter2@mail.example.com/inbox',
    'smtp://u:hunter2@mail.example.com?tls=maybe',
    'smtps://u:hunter2@mail.example.com?tls=none',
    'smtp://u:hunter2@mail.example.com?hunter2=1',
    'smtp://:hunter2@mail.example.com',
    'smtp://u:hunter2%@mail.example.com',
    'smtp://u:hunter2#3@mail.example.com',
    'ses://hunter2',
    'ses://eu-central-1:hunter2@mail.example.com',
    'ses+smtp://eu-central-1',
  ])('%s is refused, and the answer shows no password', (url) => {
    const said = problems({ SMTP_URL: url })
    expect(said).toMatch(/^SMTP_URL /)
    expect(said).not.toContain('hunter2')
  })

  test('and SMTP_FROM belong together', () => {
    expect(problems({ SMTP_URL: 'smtp://localhost', SMTP_FROM: '' })).toMatch(
      /^SMTP_URL is set, but SMTP_FROM is not/,
    )
    expect(problems({})).toMatch(/^SMTP_FROM is set, but SMTP_URL \(or _FILE\) is not/)
    expect(problems({ SMTP_URL: 'smtp://localhost', SMTP_FROM: 'nobody' })).toMatch(/^SMTP_FROM is "nobody"/)
    expect(readSettings({ repository: false }, {}).mail).toBe(null)
  })

  test('can come from a file', () => {
    expect(problems({ SMTP_URL_FILE: '/nowhere/at/all' })).toContain('SMTP_URL_FILE names /nowhere/at/all')
  })
})

describe('SES by SMTP', () => {
  const key = { AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE', AWS_SECRET_ACCESS_KEY: 'some+secret+key' }

  // The values of the tests of Terraform's AWS provider (SESSMTPPasswordFromSecretKeySigV4).
  test.each([
    ['eu-central-1', 'some+secret+key', 'BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2'],
    ['eu-central-1', 'another+secret+key', 'BBbphbrQmrKMx42d1N6+C7VINYEBGI5v9VsZeTxwskfh'],
    ['us-west-1', 'some+secret+key', 'BH+jbMzper5WwlwUar9E1ySBqHa9whi0GPo+sJ0mVYJj'],
    ['us-west-1', 'another+secret+key', 'BKVmjjMDFk/qqw8EROW99bjCS65PF8WKvK5bSr4Y6EqF'],
  ])('derives the password of %s from %s', (region, secret, password) => {
    expect(sesPassword(secret, region)).toBe(password)
  })

  test('uses the key of the environment, on a port that EC2 lets out, with TLS', () => {
    const found = route('ses+smtp://eu-central-1', key)
    expect(found).toMatchObject({
      kind: 'smtp',
      host: 'email-smtp.eu-central-1.amazonaws.com',
      port: 587,
      tls: 'starttls',
      login: { user: 'AKIAEXAMPLE' },
    })
    if (found?.kind === 'smtp')
      expect(found.login?.password.reveal()).toBe('BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2')
  })

  test('refuses the key of a role, of which no password can be made', () => {
    const said = problems({ SMTP_URL: 'ses+smtp://eu-central-1', ...key, AWS_SESSION_TOKEN: 'token' })
    expect(said).toContain('ses://REGION')
  })
})

test.each([
  ['ops@example.com', { name: '', address: 'ops@example.com' }],
  ['Samovar <ops@example.com>', { name: 'Samovar', address: 'ops@example.com' }],
  ['"Samovar, the host" <ops@example.com>', { name: 'Samovar, the host', address: 'ops@example.com' }],
  ['a@b, c@d', null],
  ['ops@example.com\r\nBcc: mallory@example.com', null],
  ['', null],
])('%j is read as an address, or refused', (text, expected) => {
  expect(readMailAddress(text)).toEqual(expected)
})
