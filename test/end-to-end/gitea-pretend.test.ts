import { afterAll, beforeAll, describe } from 'vitest'
import { type PretendGitea, startPretendGitea } from '../rig/pretend-gitea.ts'
import { giteaPromises } from './gitea-promises.ts'

/** The same story as with a real Gitea (gitea-real.test.ts), with one that behaves as the recordings of a real one say. */
describe('with a pretend Gitea', () => {
  let gitea: PretendGitea
  beforeAll(async () => {
    gitea = await startPretendGitea()
  })
  afterAll(() => gitea[Symbol.asyncDispose]())
  const restart = {
    stop: async () => gitea.fail('unreachable'),
    start: async () => gitea.fail('none'),
  }
  giteaPromises(async () => ({ url: gitea.url, ...gitea.admin, restart }), 'story')
})
