import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { validateContext } from '../../reconciler/gitea/protection.ts'
import { type Done, type PretendRunner, startPretendRunner } from '../rig/pretend-runner.ts'
import { mustRun, run } from '../rig/process.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { useRig } from '../rig/use-rig.ts'

const url = process.env['GITEA_URL']?.replace(/\/+$/, '')
const user = process.env['GITEA_ADMIN_USER']
const password = process.env['GITEA_ADMIN_PASSWORD']
const owner = 'samovar-actions'
const bot = 'samovar-actions-bot'
const host = `/repos/${owner}/host`
const good = {
  'desired-state/host.yaml': 'name: host.example.com\nproject: web\ncompose: [compose/compose.yaml]\n',
  'desired-state/services/web.yaml': 'image: docker.io/library/nginx\ntag: 1.30.4\n',
  'compose/compose.yaml': 'services: { web: { image: nginx } }\n',
  '.gitea/workflows/validate.yaml': readFileSync('.gitea/workflows/validate.yaml', 'utf8'),
}
/** A workflow of the test's own: the real one takes half an hour, and needs a container. */
const failing = `name: failing
on: { push: { branches: [log] } }
jobs:
  fail:
    runs-on: samovar
    steps:
      - name: Fail
        run: echo "this went wrong" > ../test.log; exit 3
      - name: Keep the log of a failure
        if: failure()
        env:
          TOKEN: \${{ secrets.GITEA_TOKEN }}
        run: |
          ${process.execPath} ${resolve('test/rig/upload-log.ts')} test-log ../test.log
          curl -fsS -H "Authorization: Bearer $TOKEN" "\${GITHUB_SERVER_URL%/}/api/actions_pipeline/_apis/pipelines/workflows/$GITHUB_RUN_ID/artifacts"
`

if (url && user && password) {
  describe(`Gitea Actions of Gitea at ${url}`, () => {
    const basic = (name: string, secret: string) =>
      `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`
    const ask = async <T>(method: string, path: string, body?: unknown, token?: string) => {
      const answer = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: {
          authorization: token === undefined ? basic(user, password) : `token ${token}`,
          'content-type': 'application/json',
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await answer.text()
      return { status: answer.status, answer: (text === '' ? null : JSON.parse(text)) as T }
    }
    const removeAll = async () => {
      for (const path of [host, `/orgs/${owner}`, `/admin/users/${bot}?purge=true`]) await ask('DELETE', path)
    }
    let folder: TempFolder
    let runner: PretendRunner
    const file = (name: string) => join(folder.path, name)
    const bootstrap = () =>
      run(process.execPath, ['reconciler/cli.ts', 'bootstrap', '--bot', bot], {
        env: {
          PATH: process.env['PATH'] ?? '',
          SAMOVAR_STATE_DIR: folder.path,
          SAMOVAR_GITEA_URL: url,
          SAMOVAR_GITEA_REPOSITORY: `${owner}/host`,
          SAMOVAR_GITEA_ADMIN_USER: user,
          SAMOVAR_GITEA_ADMIN_PASSWORD: password,
        },
      })
    const git = (...args: string[]) =>
      mustRun('git', [
        '-C',
        file('clone'),
        '-c',
        'user.name=alice',
        '-c',
        'user.email=alice@example.com',
        ...args,
      ])
    /** A branch with other files; answers its commit. */
    const push = async (branch: string, files: Record<string, string>): Promise<string> => {
      await git('checkout', '-q', '-B', branch)
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(file('clone'), path)), { recursive: true })
        writeFileSync(join(file('clone'), path), text)
      }
      await git('add', '-A')
      await git('commit', '-q', '-m', `work on ${branch}`)
      // For a Gitea of the tests only: a password in an address is seen by everybody on the machine.
      const address = `${url.replace('://', `://${user}:${password}@`)}/${owner}/host.git`
      await git('push', '-q', '--force', address, branch)
      return (await git('rev-parse', 'HEAD')).trim()
    }
    /** Of the required status. */
    const isState = async (sha: string, state: string) => {
      const { answer } = await ask<{ statuses: { context: string; status: string }[] | null }>(
        'GET',
        `${host}/commits/${sha}/status`,
      )
      return answer.statuses?.find((each) => each.context === validateContext)?.status === state
    }

    beforeAll(async () => {
      await removeAll()
      folder = await tempFolder('actions')
      for (const name of ['clone', 'jobs', 'bin']) mkdirSync(file(name))
      writeFileSync(
        file('bin/samovar'),
        `#!/bin/sh\nexec ${process.execPath} ${resolve('reconciler/cli.ts')} "$@"\n`,
      )
      chmodSync(file('bin/samovar'), 0o755)
      await bootstrap()
      await git('init', '-q', '--initial-branch=main')
      await push('main', good)
      await until(
        'Gitea knows of the push',
        async () => ((await ask<{ empty: boolean }>('GET', host)).answer.empty ? null : true),
        { withinMs: 20_000 },
      )
      expect((await bootstrap()).stdout).toMatch(/^made +branch protection/m)
      // Newer versions make the token by POST, older ones by GET.
      const path = `${host}/actions/runners/registration-token`
      const made = await ask<{ token: string }>('POST', path)
      const registrationToken = made.answer?.token ?? (await ask<{ token: string }>('GET', path)).answer.token
      const { environment } = useRig()
      runner = await startPretendRunner({
        url,
        registrationToken,
        label: 'samovar',
        folder: file('jobs'),
        environment: {
          ...environment,
          PATH: `${file('bin')}:${environment['PATH'] ?? ''}`,
          HOME: folder.path,
        },
      })
    })
    afterAll(async () => {
      await removeAll()
      await folder[Symbol.asyncDispose]()
    })

    test('the first push is judged by validate.yaml as it is', async () => {
      const [done] = await runner.work('the first push is judged', (all) => all.length > 0)
      expect(done).toMatchObject({ workflow: 'validate', event: 'push', failed: null })
      expect(done?.output).toContain('valid:')
    })

    test('a pull request is merged by the bot when the required statuses are there, not before', async () => {
      const token = readFileSync(file('gitea-token'), 'utf8').trim()
      const sha = await push('bump', {
        'desired-state/services/web.yaml': 'image: docker.io/library/nginx\ntag: 1.30.5\n',
      })
      const opened = await ask<{ number: number }>(
        'POST',
        `${host}/pulls`,
        { head: 'bump', base: 'main', title: 'web: 1.30.4 -> 1.30.5' },
        token,
      )
      const wanted = { Do: 'merge', head_commit_id: sha }
      const merge = async () =>
        (await ask('POST', `${host}/pulls/${opened.answer.number}/merge`, wanted, token)).status
      const done = await runner.work('the status is there', () => isState(sha, 'success'))
      expect(new Set(done.map((each) => `${each.event} ${each.sha} ${each.failed}`))).toEqual(
        new Set([`pull_request ${sha} null`, `push ${sha} null`]),
      )
      expect(await merge()).toBe(405)
      await ask('POST', `${host}/statuses/${sha}`, { state: 'success', context: 'samovar/plan' }, token)
      await runner.work('it is merged', async () => (await merge()) === 200)
    })

    test('a pull request with a mistake gets the place of it, and a status that says no', async () => {
      await git('checkout', '-q', 'main')
      const sha = await push('mistake', {
        'desired-state/services/web.yaml': 'image: docker.io/library/nginx\ntag: 1.30.4\nwindwo: weekly\n',
      })
      await ask('POST', `${host}/pulls`, { head: 'mistake', base: 'main', title: 'a mistake' })
      const done = await runner.work('the status is there', () => isState(sha, 'failure'))
      const judged = done.filter((each) => each.sha === sha)
      expect(judged.length).toBeGreaterThan(0)
      for (const each of judged) expect(each.output).toMatch(/services\/web\.yaml:3:1: windwo/)
    })

    test('nobody pushes to the protected branch, the bot neither', async () => {
      const token = readFileSync(file('gitea-token'), 'utf8').trim()
      await git('fetch', '-q', `${url.replace('://', `://${user}:${password}@`)}/${owner}/host.git`, 'main')
      await git('checkout', '-q', '--detach', 'FETCH_HEAD')
      await git('commit', '-q', '--allow-empty', '-m', 'straight to main')
      for (const who of [`${user}:${password}`, `${bot}:${token}`]) {
        const address = `${url.replace('://', `://${who}@`)}/${owner}/host.git`
        const pushed = await run('git', ['-C', file('clone'), 'push', '-q', address, 'HEAD:main'])
        expect([pushed.exitCode, pushed.stderr]).toEqual([
          1,
          expect.stringContaining('Not allowed to push to protected branch main'),
        ])
      }
    })

    test('the log of a failed job is kept as an artifact, without an action for it', async () => {
      await git('checkout', '-q', 'main')
      await push('log', { '.gitea/workflows/failing.yaml': failing })
      const isIt = (each: Done) => each.workflow === 'failing'
      const failed = (await runner.work('it failed', (all) => all.some(isIt))).find(isIt)
      expect(failed?.failed).toBe('Fail')
      expect(failed?.output).toContain('is kept as the artifact test-log of this run')
      expect(failed?.output).toMatch(/"name": ?"test-log"/)
    })
  })
} else {
  console.log(
    'Gitea Actions was not tried on a real Gitea: give GITEA_URL, GITEA_ADMIN_USER and GITEA_ADMIN_PASSWORD.',
  )
  describe('Gitea Actions of a real Gitea', () => {
    test.skip('needs GITEA_URL, GITEA_ADMIN_USER and GITEA_ADMIN_PASSWORD', () => {})
  })
}
