import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readDiunEvent } from '../../reconciler/version-bumps/diun-event.ts'

type Capture = { case: string; body: string }
const captures = JSON.parse(readFileSync('test/fixtures/diun/captures.json', 'utf8')) as Capture[]
const bodyOf = (name: string): Record<string, unknown> =>
  JSON.parse(captures.find((each) => each.case === name)?.body ?? 'null') as Record<string, unknown>
const good = bodyOf('new_tags_pushed')

describe('an event of Diun', () => {
  test.each(captures)('$case: what a real Diun sent is understood', ({ case: name, body }) => {
    const sent = JSON.parse(body) as { image: string }
    const read = readDiunEvent(sent)
    if (name === 'notif_test') expect(read).toEqual({ kind: 'test' })
    else {
      const [repository] = /^127\.0\.0\.1:5000(\/[a-z]+)+/.exec(sent.image) ?? []
      expect(read).toEqual({ kind: 'event', repository })
    }
  })

  test.each([
    ['docker.io/library/postgres:18.6', 'docker.io/library/postgres'],
    ['postgres:18.6', 'docker.io/library/postgres'],
    ['gitea/gitea', 'docker.io/gitea/gitea'],
    ['index.docker.io/library/postgres:18', 'docker.io/library/postgres'],
    ['127.0.0.1:5000/app', '127.0.0.1:5000/app'],
    ['Registry.Example.com:5000/team/app:1.2@sha256:aa', 'registry.example.com:5000/team/app'],
    ['127.0.0.1:5000/pin@sha256:c8dc', '127.0.0.1:5000/pin'],
    ['localhost/app:1', 'localhost/app'],
  ])('%s is an event about %s', (image, repository) => {
    expect(readDiunEvent({ ...good, image })).toEqual({ kind: 'event', repository })
  })

  test('metadata is no hint which service is meant', () => {
    const metadata = { service: 'other', path: '../../etc/passwd' }
    expect(readDiunEvent({ ...good, metadata })).toEqual(readDiunEvent(good))
  })

  test.each<[string, unknown, string]>([
    ['nothing', null, 'the body is no JSON object'],
    ['a list', [good], 'the body is no JSON object'],
    ['no image', { status: 'new' }, 'image is missing'],
    ['an image that is inherited', Object.create({ image: 'app', status: 'new' }), 'image is missing'],
    ['an image that is no text', { ...good, image: { length: 3 } }, 'image is no text'],
    ['a path for an image', { ...good, image: '../../etc/passwd' }, 'image is not the name of an image'],
    [
      'a URL for an image',
      { ...good, image: 'https://a.example.com/b' },
      'image is not the name of an image',
    ],
    ['an endless image', { ...good, image: 'a'.repeat(513) }, 'image is longer than 512 characters'],
    [
      'a long image',
      { ...good, image: `a.example.com/${'a'.repeat(300)}` },
      'image is not the name of an image',
    ],
    ['another status', { ...good, status: 'unchange' }, 'status is neither new nor update'],
    ['a digest that is no text', { ...good, digest: 7 }, 'digest is no text'],
    ['a time that is a number', { ...good, created: 1 }, 'created is no time'],
    ['metadata that is a list', { ...good, metadata: [] }, 'metadata is no mapping'],
    [
      'endless metadata',
      { ...good, metadata: Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`k${at}`, ''])) },
      'metadata has more than 100 keys',
    ],
  ])('%s is refused with the reason', (_, body, problem) => {
    expect(readDiunEvent(body)).toEqual({ kind: 'invalid', problem })
  })

  test('whatever is sent, nothing is thrown, and a repository is a name', () => {
    const body = fc.oneof(
      fc.jsonValue(),
      fc.record({ image: fc.string({ maxLength: 600 }), status: fc.constantFrom('new', 'update') }),
    )
    fc.assert(
      fc.property(body, (sent) => {
        const read = readDiunEvent(sent)
        if (read.kind === 'event') expect(read.repository).toMatch(/^[a-z0-9.:[\]-]+(\/[a-z0-9._-]+)+$/)
      }),
    )
  })
})
