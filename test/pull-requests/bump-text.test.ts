import { expect, test } from 'vitest'
import type { ServiceFile } from '../../reconciler/desired-state/policies.ts'
import { type BumpContent, bumpText } from '../../reconciler/pull-requests/bump-text.ts'
import { policyOf } from '../desired-state/policy.ts'
import { digestOf, toNewer } from './gitea-stage.ts'

const text = (bump: Partial<BumpContent> = {}, file: ServiceFile = {}, keepsDataOf: string[] = []) =>
  bumpText(
    { ...toNewer, found: 0, ...bump },
    {
      ...{ policy: policyOf(file), hostName: 'git.example.com', keepsDataOf },
    },
  )

test('an engineer reads what changes, how large a step it is, how old it is, and where the notes are', () => {
  const { title, body } = text()
  expect(title).toBe('Bump web from 1.0.0 to 1.1.0')
  for (const each of [
    '<!-- samovar:bump web -->',
    '| image | `registry.example.com/web` |',
    `| before | \`1.0.0\` \`${digestOf('a')}\` |`,
    `| after | \`1.1.0\` \`${digestOf('b')}\` |`,
    '| kind of change | minor: new features |',
    '| image built | `2026-11-01T00:00:00.000Z` |',
    '| release notes | <https://example.com/web/1.1.0> |',
  ])
    expect(body.split('\n')).toContain(each)
})

test('what nobody knows is left out', () => {
  const { body } = text({ from: { tag: '1.0.0', digest: null }, created: null, notes: null })
  expect(body).toContain('| before | `1.0.0` |')
  expect(body).not.toMatch(/^\| image built /m)
  expect(body).toContain('| release notes | not known; `update.releaseNotes` names them |')
})

test.each([
  [
    { step: 'digest', to: { tag: '1.0.0', digest: digestOf('b') } },
    'Rebuild of web 1.0.0',
    'A rebuilt image of `web`',
  ],
  [{ step: 'major', to: { tag: '2.0.0', digest: digestOf('b') } }, 'Bump web from 1.0.0 to 2.0.0', '**major'],
  [{ step: 'patch' }, 'Bump web from 1.0.0 to 1.1.0', 'patch: corrections'],
] as const)('a step %j is called by its name', (bump, title, words) => {
  const said = text(bump as Partial<BumpContent>)
  expect(said.title).toBe(title)
  expect(said.body).toContain(words)
})

test('it says what Samovar will do with data', () => {
  const { body } = text(
    {},
    {
      data: [{ postgres: 'db', database: 'web', user: 'web' }, { volume: 'files' }],
      update: { window: 'weekly' },
    },
  )
  expect(body).toContain('1. wait for the window `weekly`')
  expect(body).toContain('2. back up database `web`, volume `files` and prove the backup,')
  expect(body).toContain('image and data go back')
})

test('of a database server it says whose data is backed up first', () => {
  const { body } = text({}, { backup: { before: 'update' } }, ['gitea', 'grafana'])
  expect(body).toContain('2. back up what `gitea`, `grafana` keeps in it and prove the backup,')
})

test.each([
  [{}, 'start at once'],
  [{}, 'take no backup: the service has no data,'],
  [{}, 'the image goes back'],
  [{ revert: { repository: 'none' } }, 'the image goes back.'],
  [{ data: [{ volume: 'files' }], backup: { before: 'none' } }, 'take no backup (the policy says so),'],
  [{ data: [{ volume: 'files' }], revert: { data: 'keep' } }, 'the image goes back'],
] as [ServiceFile, string][])('with %j it says: %s', (file, words) => {
  expect(text({}, file).body).toContain(words)
})

test.each([
  ['automatic', 'Samovar merges this itself when the required checks have passed.'],
  ['manual', 'It waits for a person. Close it, and this version is not proposed again'],
] as const)('of a service that is %s it says who merges, and what closing means', (policy, words) => {
  expect(text({}, { update: { policy } }).body).toContain(words)
})
