import { describe, test } from 'vitest'
import { mustRun } from '../rig/process.ts'
import { giteaPromises } from './gitea-promises.ts'

/**
 * GITEA_STOP and GITEA_START are shell commands; with them Gitea really is restarted in the middle of a roll-out.
 * GITEA_HOOK_HOST (127.0.0.1) is where its webhooks go: a name that leads there and that its
 * webhook.ALLOWED_HOST_LIST has, such as `samovar` for a Gitea that is configured as compose/compose.yaml says.
 */
const { GITEA_STOP: stop, GITEA_START: start, GITEA_HOOK_HOST: hookHost = '127.0.0.1' } = process.env
const { GITEA_URL: url, GITEA_ADMIN_USER: user, GITEA_ADMIN_PASSWORD: password } = process.env

if (url === undefined || user === undefined || password === undefined) {
  console.info(
    'gitea: the story with a real Gitea was skipped: GITEA_URL, GITEA_ADMIN_USER, GITEA_ADMIN_PASSWORD are not set',
  )
  test.skip('a real Gitea', () => {})
} else {
  describe('with a real Gitea', () => {
    const shell = async (command: string) => void (await mustRun('sh', ['-c', command]))
    const restart =
      stop === undefined || start === undefined
        ? {}
        : { restart: { stop: () => shell(stop), start: () => shell(start) } }
    giteaPromises(async () => ({ url, user, password, hookHost, ...restart }), 'story')
  })
}
