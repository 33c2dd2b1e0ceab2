import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from '../rig/process.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const ask = `
import { registryLogin } from './reconciler/engine/registry-login.ts'
console.log(JSON.stringify((await registryLogin('registry.example.com/team/app:1')) ?? 'anonymous'))
`

/** What a process learns whose Docker configuration names this helper; null: a helper that is not there. */
async function loginFrom(script: string | null): Promise<{ exitCode: number; login: unknown; said: string }> {
  await using folder = await tempFolder('login')
  const config = { credHelpers: { 'registry.example.com': 'pretend' } }
  await writeFile(join(folder.path, 'config.json'), JSON.stringify(config))
  if (script !== null) {
    const helper = join(folder.path, 'docker-credential-pretend')
    await writeFile(helper, `#!/bin/sh\n${script}\n`)
    await chmod(helper, 0o755)
  }
  const { exitCode, stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', ask], {
    env: { PATH: `${folder.path}:${process.env['PATH']}`, DOCKER_CONFIG: folder.path },
    timeoutMs: 15_000,
  })
  return { exitCode, login: exitCode === 0 ? JSON.parse(stdout) : null, said: stderr }
}

const serveraddress = 'registry.example.com'

test('a credential helper is asked for the registry, and its login is used', async () => {
  const script = `read -r asked; printf '{"Username":"me","Secret":"for %s"}' "$asked"`
  expect(await loginFrom(script)).toMatchObject({
    login: { username: 'me', password: `for ${serveraddress}`, serveraddress },
  })
})

test('a token of a credential helper is sent as a token', async () => {
  const script = `cat >/dev/null; echo '{"Username":"<token>","Secret":"t"}'`
  expect((await loginFrom(script)).login).toEqual({ identitytoken: 't', serveraddress })
})

test.each([
  ['says what is not JSON', 'cat >/dev/null; echo not json'],
  ['says nothing', 'cat >/dev/null'],
  ['says null', 'cat >/dev/null; echo null'],
  ['says a list', 'cat >/dev/null; echo "[]"'],
  ['names no secret', `cat >/dev/null; echo '{"Username":"me"}'`],
  ['gives numbers', `cat >/dev/null; echo '{"Username":1,"Secret":2}'`],
  ['fails', 'cat >/dev/null; echo credentials not found; exit 1'],
  ['does not read what it is asked', 'exec 0<&-; exit 1'],
  ['is not there', null],
])('a credential helper that %s makes the pull anonymous, and the process goes on', async (_, script) => {
  expect(await loginFrom(script)).toMatchObject({ exitCode: 0, login: 'anonymous' })
})
