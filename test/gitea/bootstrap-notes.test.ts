import { describe, expect, test } from 'vitest'
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
const notes = (change: Partial<typeof wanted>, version = '1.22.6', url = 'https://git.example.com') =>
  bootstrapNotes({ wanted: { ...wanted, ...change }, version, url }).join('\n')

describe('what bootstrap warns of', () => {
  test.each(['samovar', '172.17.0.1', '192.168.1.5', 'localhost', 'host.lan', '[::1]', '[fd00::1]'])(
    'Gitea must be told that it may call %s',
    (host) => {
      const bare = host.replaceAll(/[[\]]/g, '')
      expect(notes({ hookUrl: `http://${host}:9797/hooks/gitea` })).toContain(
        `GITEA__webhook__ALLOWED_HOST_LIST=${bare} `,
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
    expect(notes({})).not.toContain('approvals are required')
  })

  test('links follow the address that Samovar uses, from 1.26 on', () => {
    expect(notes({}, '1.25.4', 'http://gitea:3000')).not.toContain('PUBLIC_URL_DETECTION')
    for (const version of ['1.26.0', '1.28.0+dev-12-gabc', '2.0.0'])
      expect(notes({}, version, 'http://gitea:3000')).toContain('PUBLIC_URL_DETECTION=never')
  })
})
