import { afterEach, beforeEach, expect, test } from 'vitest'
import { hostOf } from '../reconciler/desired-state/policies.ts'
import { examine } from '../reconciler/doctor.ts'
import type { Finding } from '../reconciler/doctor-finding.ts'
import { examineGitea } from '../reconciler/doctor-gitea.ts'
import { connectForge } from '../reconciler/gitea/connect.ts'
import type { Forge } from '../reconciler/gitea/forge.ts'
import type { Settings } from '../reconciler/settings.ts'
import { type GiteaStage, openGiteaStage, repository } from './pull-requests/gitea-stage.ts'

let stage: GiteaStage
beforeEach(async () => {
  stage = await openGiteaStage(
    { 'README.md': 'one\n' },
    { environment: { SAMOVAR_WEBHOOK_SECRET: 'secret of hooks', SAMOVAR_DIUN_TOKEN: 'token of diun' } },
  )
})
afterEach(() => stage[Symbol.asyncDispose]())

type Look = { settings: Settings; forge: Forge | null }
async function findings(
  { settings, forge }: Look = stage.parts,
  sweep: string | null = '20 */6 * * *',
): Promise<Finding[]> {
  const host = hostOf({ name: 'host', project: 'site', compose: [], bumps: sweep === null ? {} : { sweep } })
  const found: Finding[] = []
  for await (const each of examineGitea(settings, { forge: () => forge, host })) found.push(each)
  return found
}
const withToken = (token: string | undefined) => ({
  ...stage.parts,
  forge: connectForge({
    url: stage.proxy.endpoint,
    repository,
    token: () => token,
    patience: { pausesMs: [] },
  }),
})

test('when all is well it says which Gitea, as whom, and that nothing is written there', async () => {
  const found = await findings()
  expect(found.every((each) => each.ok)).toBe(true)
  expect(found.map((each) => each.said)).toEqual([
    `Gitea 1.28.0 at ${stage.proxy.endpoint}, as samovar`,
    'ops/host: statuses, comments and pull requests may be written',
    'POST /hooks/gitea from ops/host is accepted when it is signed',
    'POST /hooks/diun is accepted with its token',
  ])
  expect(stage.changes()).toEqual([])
  expect(JSON.stringify(found)).not.toMatch(/secret of hooks|token of diun/)
})

test('a token that is not accepted is named, with the next step', async () => {
  const [first, ...more] = await findings(withToken('wrong'))
  expect(first).toMatchObject({ name: 'gitea', ok: false })
  expect(first?.said).toContain('SAMOVAR_GITEA_TOKEN')
  expect(first?.next).toMatch(/SAMOVAR_GITEA_TOKEN.*samovar bootstrap/)
  expect(more).toEqual([])
})

test('an account that may only read is told to become one that may write', async () => {
  const { token } = stage.gitea.addAccount('reader')
  await stage.admin('PUT', '/collaborators/reader', { permission: 'read' })
  const found = await findings(withToken(token))
  expect(found.find((each) => each.name === 'gitea repository')).toMatchObject({
    ok: false,
    said: expect.stringContaining('may not write to ops/host'),
    next: expect.stringContaining('samovar bootstrap'),
  })
})

test('a Gitea that is away is one finding', async () => {
  stage.gitea.fail('unreachable')
  expect((await findings()).map((each) => [each.name, each.ok])).toEqual([['gitea', false]])
})

test('where nothing is set it says what that means, and finds nothing wrong', async () => {
  const settings = { ...stage.parts.settings, webhookSecret: null, diunToken: null }
  const found = await findings({ ...stage.parts, settings })
  expect(found.map((each) => each.said).join('\n')).toMatch(/polling alone[\s\S]*sweep alone/)
  expect(await findings({ ...stage.parts, forge: null })).toMatchObject([{ name: 'gitea', ok: true }])
})

test('a repository that was renamed is found, since webhooks carry its new name', async () => {
  const called = (name: string) => ({ ...stage.parts.settings, giteaRepository: name })
  const [, found] = await findings({ ...stage.parts, settings: called('ops/old-name') })
  expect(found).toMatchObject({
    name: 'gitea repository',
    ok: false,
    said: expect.stringContaining('ops/old-name is called ops/host in Gitea'),
    next: expect.stringContaining('Set SAMOVAR_GITEA_REPOSITORY to ops/host'),
  })
  const [, another] = await findings({ ...stage.parts, settings: called('Ops/Host') })
  expect(another?.ok).toBe(true)
})

test('where nobody looks for new versions it says how that is switched on, and finds no fault', async () => {
  const settings = { ...stage.parts.settings, diunToken: null }
  expect((await findings({ ...stage.parts, settings }, null)).at(-1)).toMatchObject({
    ok: true,
    said: expect.stringContaining('neither bumps.sweep nor SAMOVAR_DIUN_TOKEN is set'),
    next: expect.stringContaining('bumps: { sweep: "20 */6 * * *" }'),
  })
  expect((await findings(undefined, null)).at(-1)?.said).toContain('an event that is lost stays lost')
})

test('Gitea is looked at also where nothing else can be', async () => {
  const found: string[] = []
  const settings = { ...stage.parts.settings, stateDir: '/dev/null/nowhere' }
  for await (const each of examine(settings)) found.push(`${each.name} ${each.ok}`)
  expect(found).toEqual(
    expect.arrayContaining(['state directory false', 'gitea true', 'gitea repository true']),
  )
})
