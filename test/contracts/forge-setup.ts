import { describe, expect, test } from 'vitest'
import { alice, bob, bot, type GiteaUnderTest, owner, repository, scopes, type World } from './forge-world.ts'

const deployKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl'

/** What bootstrap relies on. */
export function setupContract(world: () => World & { under: GiteaUnderTest }): void {
  describe('setup', () => {
    test('version and account are those of the server and the administrator', async () => {
      const { setup, under } = world()
      expect(await setup.version()).toBe(under.version)
      expect(await setup.currentUser()).toMatchObject({ login: under.admin.user, admin: true })
    })

    test('an account, organisation or repository that exists is not made again', async () => {
      const { setup } = world()
      expect(await setup.user('nobody')).toBeNull()
      expect(await setup.user(bot.login)).toMatchObject({ login: bot.login, email: bot.email, admin: false })
      expect(await setup.createUser(bot)).toBe('exists')
      expect(await setup.organisation('nobody')).toBeNull()
      expect(await setup.organisation(owner)).toEqual({ name: owner })
      expect(await setup.createOrganisation({ name: owner, private: true })).toBe('exists')
      const options = { description: '', private: true, autoInit: true, defaultBranch: 'main' }
      expect(await setup.createRepository({ ...repository, ...options })).toBe('exists')
      expect(await setup.repository(owner, 'other')).toBeNull()
      expect(await setup.repository(owner, 'host')).toEqual({
        fullName: `${owner}/host`,
        private: true,
        empty: false,
        archived: false,
        defaultBranch: 'main',
      })
    })

    test('a repository is made for a user, too', async () => {
      const { setup } = world()
      const options = { description: '', private: true, autoInit: false, defaultBranch: 'main' }
      expect(await setup.createRepository({ owner: bot.login, name: 'own', ...options })).toBe('created')
      expect(await setup.repository(bot.login, 'own')).toMatchObject({ empty: true })
    })

    test('an account that Gitea does not want is an error, not one that exists', async () => {
      const wanted = { login: 'carol', email: 'no address', password: 'contract-password-4' }
      await expect(world().setup.createUser(wanted)).rejects.toMatchObject({
        code: 'forge-refused',
        status: 422,
      })
    })

    test('a token is shown once, is told by its end, and is deleted once', async () => {
      const { setup } = world()
      const wanted = { name: 'spare', scopes }
      const token = (await setup.createToken(bot.login, wanted)) ?? ''
      expect(token).toMatch(/^[0-9a-f]{40}$/)
      expect(await setup.createToken(bot.login, wanted)).toBeNull()
      const found = (await setup.tokens(bot.login)).find((each) => each.name === 'spare')
      expect(found).toMatchObject({ lastEight: token.slice(-8) })
      expect(found?.scopes.toSorted()).toEqual(scopes)
      expect(await setup.deleteToken(bot.login, found?.id ?? 0)).toBe(true)
      expect(await setup.deleteToken(bot.login, found?.id ?? 0)).toBe(false)
    })

    test('a scope that Gitea does not know is an error', async () => {
      const wanted = { name: 'odd', scopes: ['write:everything'] }
      const refused = { code: 'forge-refused', status: 400 }
      await expect(world().setup.createToken(bot.login, wanted)).rejects.toMatchObject(refused)
    })

    test('a collaborator has what was given, a stranger nothing', async () => {
      const { setup, under } = world()
      expect(await setup.permission(repository, bot.login)).toBe('write')
      expect(await setup.permission(repository, bob.login)).toBe('none')
      expect(await setup.permission(repository, 'nobody')).toBe('none')
      expect(['admin', 'owner']).toContain(await setup.permission(repository, under.admin.user))
      await setup.putCollaborator(repository, alice.login, 'read')
      expect(await setup.permission(repository, alice.login)).toBe('read')
      await setup.putCollaborator(repository, alice.login, 'write')
    })

    test('a hook is made as often as it is asked for, and an edit keeps what it names', async () => {
      const { setup } = world()
      const url = 'http://samovar.example.com/hooks/gitea'
      const wanted = {
        url,
        secret: 'of the hook',
        events: ['push', 'pull_request'],
        branchFilter: '*',
        active: false,
      }
      const first = await setup.createHook(repository, wanted)
      const second = await setup.createHook(repository, wanted)
      expect(second.id).not.toBe(first.id)
      expect(first).toMatchObject({
        type: 'gitea',
        url,
        contentType: 'json',
        branchFilter: '*',
        active: false,
      })
      expect(first.events).toEqual(expect.arrayContaining(['push', 'pull_request', 'pull_request_sync']))
      const { secret: _, ...edit } = { ...wanted, branchFilter: 'main', url: `${url}/2` }
      expect(await setup.editHook(repository, first.id, edit)).toMatchObject({
        url: `${url}/2`,
        branchFilter: 'main',
      })
      const found = (await setup.hooks(repository)).find((each) => each.id === first.id)
      expect(found?.events).toEqual(expect.arrayContaining(['push', 'pull_request']))
      expect(await setup.deleteHook(repository, second.id)).toBe(true)
      expect(await setup.deleteHook(repository, second.id)).toBe(false)
      expect(await setup.deleteHook(repository, first.id)).toBe(true)
      expect(await setup.hooks(repository)).toEqual([])
    })

    test('a label is made as often as it is asked for', async () => {
      const { setup } = world()
      const label = { name: 'samovar', color: '#5319e7', description: 'Opened by Samovar' }
      const made = [await setup.createLabel(repository, label), await setup.createLabel(repository, label)]
      expect(made[0]).toMatchObject(label)
      expect(made[0]?.id).not.toBe(made[1]?.id)
      expect(await setup.labels(repository)).toEqual(expect.arrayContaining(made))
    })

    test('a protection that exists is not made again, and an edit keeps what it does not name', async () => {
      const { setup } = world()
      const wanted = {
        rule: 'protected/*',
        directPush: false,
        requiredStatuses: ['samovar/plan', 'validate / *'],
        requiredApprovals: 1,
        blockOnRejectedReviews: true,
        dismissStaleApprovals: true,
        protectedPaths: ['.gitea/**', 'LICENSE'],
      }
      expect(await setup.protection(repository, wanted.rule)).toBeNull()
      expect(await setup.createProtection(repository, wanted)).toBe('created')
      expect(await setup.createProtection(repository, wanted)).toBe('exists')
      expect(await setup.protection(repository, wanted.rule)).toEqual(wanted)
      await setup.editProtection(repository, wanted.rule, { requiredApprovals: 0, requiredStatuses: [] })
      const edited = { ...wanted, requiredApprovals: 0, requiredStatuses: [] }
      expect(await setup.protection(repository, wanted.rule)).toEqual(edited)
    })

    test('a deploy key is added once, and what is no key is an error', async () => {
      const { setup } = world()
      const wanted = { title: 'samovar', key: `${deployKey} samovar@host`, readOnly: true }
      expect(await setup.addDeployKey(repository, wanted)).toBe('created')
      expect(await setup.addDeployKey(repository, { ...wanted, title: 'another' })).toBe('exists')
      expect(await setup.deployKeys(repository)).toMatchObject([{ title: 'samovar', readOnly: true }])
      const noKey = { ...wanted, title: 'odd', key: 'ssh-ed25519 AAAA' }
      const refused = { code: 'forge-refused', status: 422 }
      await expect(setup.addDeployKey(repository, noKey)).rejects.toMatchObject(refused)
    })

    test('credentials that are wrong make Gitea unreachable', async () => {
      const { under } = world()
      const { connectSetup } = await import('../../reconciler/gitea/setup-calls.ts')
      const authorization = { user: under.admin.user, password: 'wrong-password-1' }
      await expect(connectSetup({ url: under.url, authorization }).currentUser()).rejects.toMatchObject({
        code: 'forge-unreachable',
        message: expect.stringContaining("the administrator's password"),
      })
    })
  })
}
