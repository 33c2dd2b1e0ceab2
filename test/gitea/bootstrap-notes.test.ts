import { describe, expect, test } from 'vitest'
import type { BootstrapStep } from '../../reconciler/gitea/bootstrap.ts'
import { bootstrapNotes } from '../../reconciler/gitea/bootstrap-notes.ts'

const wanted = {
  owner: 'ops',
  name: 'host',
  branch: 'main',
  bot: 'samovar',
  approvals: 0,
  requiredStatuses: [],
  hookUrl: 'https://samovar.example.com/hooks/gitea',
  deployKey: null,
  renew: false,
  tokenFile: '',
  secretFile: '',
  token: null,
  webhookSecret: null,
}
type Changed = Partial<Omit<typeof wanted, 'token'> & { token: string }>
const notes = (change: Changed, url = 'https://git.example.com', steps: BootstrapStep[] = []) =>
  bootstrapNotes({ wanted: { ...wanted, ...change }, url, steps }).join('\n')
const step = (what: BootstrapStep['what'], result: BootstrapStep['result']): BootstrapStep => ({
  what,
  result,
  name: '',
  details: [],
})

describe('what bootstrap warns of', () => {
  test.each(['samovar', '172.17.0.1', '192.168.1.5', 'localhost', 'host.lan', '[::1]', '[fd00::1]'])(
    'Gitea must be told that it may call %s',
    (host) => {
      const bare = host.replaceAll(/[[\]]/g, '')
      expect(notes({ hookUrl: `http://${host}:9797/hooks/gitea` })).toContain(
        `GITEA__webhook__ALLOWED_HOST_LIST=external,${bare} for Gitea`,
      )
    },
  )

  test.each(['samovar.example.com', '172.32.0.1', '8.8.8.8', 'fdrive.example.com'])(
    'it may call %s as it is',
    (host) => {
      expect(notes({ hookUrl: `http://${host}/hooks/gitea` })).not.toContain('ALLOWED_HOST_LIST')
    },
  )

  test('approvals hold up what the bot would merge by itself', () => {
    expect(notes({ approvals: 1 })).toContain('samovar merges those by itself only after people approved')
    expect(notes({ approvals: 1 })).toContain('1 approval is required')
    expect(notes({ approvals: 2 })).toContain('2 approvals are required')
    expect(notes({})).not.toContain('required')
  })

  test('links begin with the address that Samovar uses, which people must reach', () => {
    expect(notes({}, 'http://gitea:3000')).toMatch(/begin with http:\/\/gitea:3000.*ROOT_URL/)
    expect(notes({})).not.toContain('ROOT_URL')
  })

  test('how a workflow is changed is said when the branch was protected, not each time', () => {
    const at = (result: BootstrapStep['result']) => notes({}, undefined, [step('branch protection', result)])
    for (const result of ['made', 'changed'] as const)
      expect(at(result)).toContain('take .gitea/** out of "Protected file patterns"')
    for (const result of ['already so', 'left out'] as const) expect(at(result)).toBe('')
  })

  test('a daemon that has the old token or secret must be restarted', () => {
    const changed = { ...step('webhook', 'changed'), replacesSecret: true } as const
    expect(notes({}, undefined, [changed])).toContain('restart the daemon')
    expect(notes({}, undefined, [step('token', 'made'), step('webhook', 'changed')])).toBe('')
  })

  test('a token that was given by value and did not do must not stay there', () => {
    const given = { token: 'a token', tokenFile: '/var/lib/samovar/gitea-token' }
    expect(notes(given, undefined, [step('token', 'changed')])).toMatch(
      /SAMOVAR_GITEA_TOKEN is no longer used: .* the new token is in \/var\/lib\/samovar\/gitea-token/,
    )
    expect(notes(given, undefined, [step('token', 'already so')])).toBe('')
  })
})
