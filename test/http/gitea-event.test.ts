import { describe, expect, test } from 'vitest'
import { newsOf, type Watched } from '../../reconciler/http/gitea-event.ts'
import { pushBody } from './hook-caller.ts'

const watched: Watched = { repository: 'ops/host', branch: 'main' }
const zeros = '0'.repeat(40)
const repository = { full_name: 'ops/host' }

const ofPush = (other: Record<string, unknown>, about = watched): string =>
  newsOf('push', JSON.parse(pushBody(other)), about).kind

const of = (event: string, body: Record<string, unknown>) => {
  const news = newsOf(event, { repository, ...body }, watched)
  return news.kind === 'pull request' ? news.number : news.kind
}

describe('worth a look', () => {
  test('is a push to the watched branch, also one that makes the branch, also with SHA-256', () => {
    expect(ofPush({})).toBe('push')
    expect(ofPush({ before: zeros })).toBe('push')
    expect(ofPush({ before: 'a'.repeat(64), after: 'b'.repeat(64) })).toBe('push')
    expect(ofPush({ ref: 'refs/heads/live/one' }, { ...watched, branch: 'live/one' })).toBe('push')
  })

  test('is our repository however it is written, and any when ours is not known', () => {
    expect(ofPush({ repository: { full_name: 'Ops/Host' } })).toBe('push')
    expect(ofPush({ repository: { full_name: 'alice/else' } }, { ...watched, repository: null })).toBe('push')
  })

  test('is what happens to a pull request, with its number where there is one', () => {
    expect(of('pull_request', { action: 'opened', number: 12 })).toBe(12)
    expect(of('pull_request', { action: 'synchronized', pull_request: { number: 13 } })).toBe(13)
    for (const event of ['pull_request_approved', 'pull_request_rejected', 'pull_request_comment'])
      expect(of(event, { number: 14 })).toBe(14)
    expect(of('issue_comment', { issue: { number: 15 }, is_pull: true })).toBe(15)
    expect(of('status', { sha: 'a'.repeat(40), number: 3 })).toBe(null)
    expect(of('issues', { number: 16 })).toBe(null)
  })

  test('is a pull request whose number is none, as any of them', () => {
    for (const number of [0, -1, 1.5, 2 ** 60, '12', null, {}, [12]])
      expect(of('pull_request', { number }), String(number)).toBe(null)
  })
})

describe('not worth a look', () => {
  test('are a deleted branch, a tag, another branch, a test delivery and another repository', () => {
    expect(ofPush({ after: zeros })).toBe('nothing')
    expect(ofPush({ ref: 'refs/tags/main' })).toBe('nothing')
    expect(ofPush({ ref: 'refs/heads/main2' })).toBe('nothing')
    expect(ofPush({ ref: 'refs/heads/feature' })).toBe('nothing')
    expect(ofPush({ ref: 'main' })).toBe('nothing')
    expect(ofPush({ before: '2'.repeat(40) })).toBe('nothing')
    expect(ofPush({ repository: { full_name: 'alice/host' } })).toBe('nothing')
    expect(ofPush({ repository: { full_name: 'ops/host2' } })).toBe('nothing')
    expect(newsOf('pull_request', { number: 1, repository: { full_name: 'a/b' } }, watched).kind).toBe(
      'nothing',
    )
  })

  test('are commits that are none', () => {
    for (const after of ['', 'HEAD', '2'.repeat(39), 'G'.repeat(40), 2, null, ['2'.repeat(40)]])
      expect(ofPush({ after }), String(after)).toBe('nothing')
  })

  test('are events of other kinds, whatever they are called', () => {
    for (const event of [
      'create',
      'delete',
      'fork',
      'wiki',
      'release',
      'repository',
      '',
      'undefined',
      'push ',
    ])
      expect(of(event, { number: 1, ref: 'refs/heads/main' }), event).toBe('nothing')
    expect(of('issue_comment', { issue: { number: 15 }, is_pull: false })).toBe('nothing')
  })
})
