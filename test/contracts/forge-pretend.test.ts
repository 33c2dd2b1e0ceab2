import { startPretendGitea } from '../rig/pretend-gitea.ts'
import { forgeContract } from './forge.ts'

for (const version of ['1.22.6', '1.28.0'])
  forgeContract(`pretend Gitea ${version}`, async () => {
    const gitea = await startPretendGitea({ version })
    return {
      url: gitea.url,
      admin: gitea.admin,
      version,
      cleanUp: () => gitea[Symbol.asyncDispose](),
    }
  })
