import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startGitServer } from '../rig/git-server.ts'
import { mustRun } from '../rig/process.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { useRig } from '../rig/use-rig.ts'
import { type Job, readWorkflow, runSteps } from './workflow.ts'

const job = readWorkflow('validate.yaml').jobs['validate'] as Job
const token = 'job-token-0123456789abcdef'
const good = {
  'desired-state/host.yaml': 'name: host.example.com\nproject: web\ncompose: [compose/compose.yaml]\n',
  'desired-state/services/web.yaml': 'image: docker.io/library/nginx\ntag: 1.30.4\n',
  'compose/compose.yaml': 'services: { web: { image: nginx } }\n',
}

/** A Gitea's Git side that wants the job's token, and a runner with Samovar on it. */
async function start() {
  const rig = useRig()
  const [git, place] = await Promise.all([startGitServer(), tempFolder('runner')])
  await git.createRepository('ops/host')
  git.require(token)
  const folder = join(place.path, 'work')
  const bin = join(place.path, 'bin')
  for (const each of [folder, bin, join(place.path, 'home')]) mkdirSync(each)
  const samovar = join(bin, 'samovar')
  writeFileSync(samovar, `#!/bin/sh\nexec ${process.execPath} ${resolve('reconciler/cli.ts')} "$@"\n`)
  chmodSync(samovar, 0o755)
  // Writes down what every process of the machine could read.
  const recorder = join(bin, 'git')
  const seen = join(place.path, 'arguments')
  writeFileSync(recorder, `#!/bin/sh\necho "$@" >> ${seen}\nPATH="\${PATH#*:}" exec git "$@"\n`)
  chmodSync(recorder, 0o755)
  const on = (sha: string, more: Record<string, string> = {}) => ({
    folder,
    // The slash is Gitea's own: its ROOT_URL has one.
    environment: {
      ...rig.environment,
      PATH: `${bin}:${rig.environment['PATH'] ?? ''}`,
      HOME: join(place.path, 'home'),
      GITHUB_SERVER_URL: `${git.url}/`,
      GITHUB_REPOSITORY: 'ops/host',
      GITHUB_SHA: sha,
      GITHUB_EVENT_NAME: 'pull_request',
    },
    expressions: { 'secrets.GITEA_TOKEN': token, ...more },
  })
  return {
    git,
    folder,
    seen,
    on,
    [Symbol.asyncDispose]: async () => {
      await git[Symbol.asyncDispose]()
      await place[Symbol.asyncDispose]()
    },
  }
}

describe('validate.yaml on a runner', () => {
  test('says yes to a good desired state, and no to a bad one with file, line and column', async () => {
    await using runner = await start()
    const first = await runner.git.commit('ops/host', good)
    const bad = await runner.git.commit('ops/host', {
      'desired-state/services/web.yaml': 'image: docker.io/library/nginx\ntag: 1.30.4\nwindwo: weekly\n',
    })
    const answers = [
      await runSteps(job, runner.on(bad)),
      // The commit that was asked for is judged, not the newest, and nothing of an earlier job is left.
      await runSteps(job, runner.on(first)),
    ]
    expect(answers[0]?.failed).toBe('samovar validate')
    expect(answers[0]?.output).toMatch(/desired-state\/services\/web\.yaml:3:1: windwo/)
    expect(answers[1]).toEqual({ failed: null, output: expect.stringContaining('valid:') as unknown })
  })

  test('leaves the token of the job neither in its output, nor in arguments, nor in the checkout', async () => {
    await using runner = await start()
    const sha = await runner.git.commit('ops/host', good)
    const { failed, output } = await runSteps(job, runner.on(sha))
    expect(failed).toBeNull()
    const kept = await mustRun('grep', ['-rc', '', join(runner.folder, '.git', 'config')])
    expect(kept.trim()).not.toBe('0')
    const secrets = [token, Buffer.from(`samovar:${token}`).toString('base64')]
    for (const secret of secrets) {
      expect(output).not.toContain(secret)
      expect(readFileSync(runner.seen, 'utf8')).toMatch(/^fetch /m)
      expect(readFileSync(runner.seen, 'utf8')).not.toContain(secret)
      const found = await mustRun('sh', ['-c', `grep -rlF -e "$0" "$1" || true`, secret, runner.folder])
      expect(found).toBe('')
    }
  })

  test('does not go on without a checkout, or without a Samovar', async () => {
    await using runner = await start()
    const sha = await runner.git.commit('ops/host', good)
    const without = runner.on(sha)
    expect((await runSteps(job, { ...without, expressions: {} })).failed).toBe('Check out')
    const path = without.environment.PATH.split(':').slice(1).join(':')
    const { failed, output } = await runSteps(job, {
      ...without,
      environment: { ...without.environment, PATH: path },
    })
    expect(failed).toBe('samovar validate')
    expect(output).toContain('set the variable SAMOVAR_SOURCE')
  })
})
