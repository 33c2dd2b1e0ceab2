import { join } from 'node:path'
import { describe, test } from 'vitest'
import { bootstrapStory, owners, people } from '../gitea/bootstrap-story.ts'
import { mustRun } from '../rig/process.ts'
import { startRecordingProxy } from '../rig/recording-proxy.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'

const url = process.env['GITEA_URL']?.replace(/\/+$/, '')
const user = process.env['GITEA_ADMIN_USER']
const password = process.env['GITEA_ADMIN_PASSWORD']
const recordings = join(import.meta.dirname, '..', 'fixtures', 'gitea', 'bootstrap')

if (url && user && password) {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const ask = (method: string, path: string) =>
    fetch(`${url}/api/v1${path}`, { method, headers: { authorization } })
  /** The names are fixed, so what an earlier run left goes first. Never recorded. */
  const removeAll = async () => {
    const all = owners.flatMap((owner) => [`/repos/${owner}/host`, `/orgs/${owner}`])
    for (const path of [...all, ...people.map((login) => `/admin/users/${login}?purge=true`)]) {
      const { status } = await ask('DELETE', path)
      if (status !== 204 && status !== 404) throw new Error(`DELETE ${path} answered ${status}`)
    }
  }
  bootstrapStory(`Gitea at ${url}`, async () => {
    await removeAll()
    const { version } = (await (await ask('GET', '/version')).json()) as { version: string }
    const proxy = await startRecordingProxy(url)
    return {
      url: proxy.url,
      exchanges: proxy.exchanges,
      admin: { user, password },
      version,
      push: async (repository) => {
        await using folder = await tempFolder('first-push')
        const git = (...args: string[]) =>
          mustRun('git', [
            '-C',
            folder.path,
            '-c',
            'user.name=alice',
            '-c',
            'user.email=alice@example.com',
            ...args,
          ])
        await git('init', '-q', '--initial-branch=main')
        await git('commit', '-q', '--allow-empty', '-m', 'the desired state')
        // For a Gitea of the tests only: a password in an address is seen by everybody on the machine.
        await git('push', '-q', `${url.replace('://', `://${user}:${password}@`)}/${repository}.git`, 'main')
        await until(
          'Gitea knows of the push',
          async () =>
            ((await (await ask('GET', `/repos/${repository}`)).json()) as { empty: boolean }).empty
              ? null
              : true,
          { withinMs: 20_000 },
        )
      },
      cleanUp: async () => {
        if (process.env['SAMOVAR_RECORD'] === '1')
          await proxy.write(join(recordings, `${version.replaceAll(/[^\w.-]/g, '-')}.json`), version)
        await proxy[Symbol.asyncDispose]()
        await removeAll()
      },
    }
  })
} else {
  console.log(
    'Bootstrap was not run against a real Gitea: give GITEA_URL, GITEA_ADMIN_USER and GITEA_ADMIN_PASSWORD.',
  )
  describe('bootstrap: a real Gitea', () => {
    test.skip('needs GITEA_URL, GITEA_ADMIN_USER and GITEA_ADMIN_PASSWORD', () => {})
  })
}
