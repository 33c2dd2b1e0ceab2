import { expect, test } from 'vitest'
import { webUrlOf } from '../../reconciler/up/gitea-service.ts'
import { hookUrl } from '../../reconciler/up/gitea-setup.ts'
import { startDaemon } from '../../reconciler/up/hand-over.ts'
import type { Programs } from '../../reconciler/up/programs.ts'

const pretended = (state: Awaited<ReturnType<Programs['unit']>>, fails = false) => {
  const did: string[] = []
  const act = (what: string) => (name: string) => {
    did.push(`${what} ${name}`)
    return fails ? Promise.reject(new Error('systemctl failed: no')) : Promise.resolve()
  }
  const programs: Programs = {
    unit: () => Promise.resolve(state),
    enable: act('enable'),
    restart: act('restart'),
  }
  return { did, wanted: { programs, environmentFile: '/etc/samovar/environment' } }
}

test.each([
  ['inactive', false, ['enable samovar.service'], 'done'],
  ['inactive', true, ['enable samovar.service'], 'done'],
  // It runs, and nobody starts it at the next boot.
  ['until-reboot', false, ['enable samovar.service'], 'done'],
  ['until-reboot', true, ['enable samovar.service', 'restart samovar.service'], 'done'],
  ['active', false, [], 'ok'],
  ['active', true, ['restart samovar.service'], 'done'],
  ['unknown', true, [], 'warning'],
  ['none', true, [], 'warning'],
] as const)('a daemon whose unit is %s, new settings %s: %j, %s', async (state, isNew, expected, result) => {
  const { did, wanted } = pretended(state)
  expect(await startDaemon({ wanted }, isNew)).toMatchObject({ result })
  expect(did).toEqual(expected)
})

test('a unit that does not start is told with where its log is, and takes nothing back', async () => {
  const { wanted } = pretended('inactive', true)
  expect(await startDaemon({ wanted }, true)).toMatchObject({
    result: 'warning',
    next: expect.stringContaining('journalctl') as string,
  })
})

test('webhooks go to the name that the Compose file gives the host, else to where people reach Samovar, else nowhere', () => {
  const listen = { host: '172.17.0.1', port: 9797 }
  const publicUrl = 'https://samovar.example.com'
  expect(hookUrl({ publicUrl, listen }, { hostName: 'samovar' })).toBe('http://samovar:9797/hooks/gitea')
  expect(hookUrl({ publicUrl, listen }, { hostName: null })).toBe('https://samovar.example.com/hooks/gitea')
  expect(hookUrl({ publicUrl: null, listen }, { hostName: null })).toBeNull()
})

test('settings that lead to another Gitea than that of the stack are refused before anything is started', () => {
  const gitea = { service: 'gitea', rootUrl: 'https://git.lan' }
  const repository = 'https://git.lan/ops/host.git'
  expect(webUrlOf(gitea, { giteaUrl: null, repository: '/root/host' })).toBe('https://git.lan')
  expect(webUrlOf(gitea, { giteaUrl: 'https://git.lan', repository })).toBe('https://git.lan')
  const foreign = { giteaUrl: 'https://git.example.com', repository }
  expect(() => webUrlOf(gitea, foreign)).toThrow('SAMOVAR_GITEA_URL leads to git.example.com')
  const elsewhere = { giteaUrl: null, repository: 'https://git.example.com/ops/host.git' }
  expect(() => webUrlOf(gitea, elsewhere)).toThrow('SAMOVAR_REPOSITORY leads to git.example.com')
  expect(() => webUrlOf({ ...gitea, rootUrl: null }, { giteaUrl: null, repository: '' })).toThrow(
    'not known where',
  )
})
