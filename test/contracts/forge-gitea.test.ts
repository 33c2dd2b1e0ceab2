import { join } from 'node:path'
import { describe, test } from 'vitest'
import { startRecordingProxy } from '../rig/recording-proxy.ts'
import { forgeContract } from './forge.ts'
import { alice, bob, bot, owner } from './forge-world.ts'

/**
 * Against a real Gitea that is there for tests: the suite removes what has its names (the organisation samovar-contract,
 * the accounts samovar-bot, alice and bob) before and after. With SAMOVAR_RECORD=1 the exchange is written to
 * test/fixtures/gitea/VERSION.json, from where forge-replay.test.ts plays it back everywhere.
 */
const url = process.env['GITEA_URL']?.replace(/\/+$/, '')
const user = process.env['GITEA_ADMIN_USER']
const password = process.env['GITEA_ADMIN_PASSWORD']
const recordings = join(import.meta.dirname, '..', 'fixtures', 'gitea')

if (url && user && password) {
  forgeContract(`Gitea at ${url}`, async () => {
    const ask = (method: string, path: string) =>
      askDirectly(`${url}/api/v1${path}`, method, { user, password })
    await removeWorld(ask)
    const { version } = (await (await ask('GET', '/version')).json()) as { version: string }
    const proxy = await startRecordingProxy(url)
    return {
      url: proxy.url,
      admin: { user, password },
      version,
      cleanUp: async () => {
        if (process.env['SAMOVAR_RECORD'] === '1')
          await proxy.write(join(recordings, `${version.replaceAll(/[^\w.-]/g, '-')}.json`), version)
        await proxy[Symbol.asyncDispose]()
        await removeWorld(ask)
      },
    }
  })
} else {
  console.log(
    'The forge contract was not run against a real Gitea: give GITEA_URL, GITEA_ADMIN_USER and GITEA_ADMIN_PASSWORD.',
  )
  describe('forge contract: a real Gitea', () => {
    test.skip('needs GITEA_URL, GITEA_ADMIN_USER and GITEA_ADMIN_PASSWORD', () => {})
  })
}

/** The names are fixed, so what an earlier run left goes first. Never recorded. */
async function removeWorld(ask: (method: string, path: string) => Promise<Response>): Promise<void> {
  const accounts = [bot, alice, bob].map(({ login }) => `/admin/users/${login}?purge=true`)
  const repositories = ['host', 'renamed'].map((name) => `/repos/${owner}/${name}`)
  for (const path of [...repositories, `/orgs/${owner}`, ...accounts]) {
    const { status } = await ask('DELETE', path)
    if (status !== 204 && status !== 404) throw new Error(`DELETE ${path} answered ${status}`)
  }
}

function askDirectly(
  address: string,
  method: string,
  { user: name, password: secret }: { user: string; password: string },
): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`
  return fetch(address, { method, headers: { authorization } })
}
