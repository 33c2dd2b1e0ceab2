import { describe, test } from 'vitest'
import { giteaPromises } from './gitea-promises.ts'

const { GITEA_URL: url, GITEA_ADMIN_USER: user, GITEA_ADMIN_PASSWORD: password } = process.env

if (url === undefined || user === undefined || password === undefined) {
  console.info(
    'gitea: the story with a real Gitea was skipped: GITEA_URL, GITEA_ADMIN_USER, GITEA_ADMIN_PASSWORD are not set',
  )
  test.skip('a real Gitea', () => {})
} else {
  describe('with a real Gitea', () => {
    giteaPromises(async () => ({ url, user, password }), 'story')
  })
}
