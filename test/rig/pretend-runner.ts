import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { type Job, runStep, type Workflow } from '../workflows/workflow.ts'
import { until } from './until.ts'

/** A job as Gitea handed it out, after its steps have run. */
export type Done = {
  workflow: string
  job: string
  event: string
  sha: string
  failed: string | null
  output: string
}

export type PretendRunner = {
  /**
   * Takes jobs and runs them until something is so; answers them. How many there are is Gitea's to say: 1.22 starts a
   * second one for a pull request that is opened right after the push.
   */
  work(what: string, isSo: (done: Done[]) => Promise<boolean> | boolean): Promise<Done[]>
}

type Task = {
  id: string
  workflowPayload: string
  context: Record<string, unknown>
  secrets?: Record<string, string>
  vars?: Record<string, string>
}

/**
 * Speaks to a real Gitea as its runner does and runs what it gets in `folder`, without containers. Gitea's protocol is
 * Connect, which is JSON over HTTP when asked so (routers/api/actions/runner of Gitea). What the real
 * runner adds, actions, services, caches, is not here.
 *
 * @param registrationToken of the repository, organisation or instance
 */
export async function startPretendRunner(about: {
  url: string
  registrationToken: string
  label: string
  folder: string
  environment: Record<string, string>
}): Promise<PretendRunner> {
  const service = `${about.url}/api/actions/runner.v1.RunnerService`
  const ask = async <T>(method: string, body: unknown, headers: Record<string, string> = {}): Promise<T> => {
    const answer = await fetch(`${service}/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method}: HTTP ${answer.status}: ${text}`)
    return JSON.parse(text) as T
  }
  const labels = [about.label]
  const { runner } = await ask<{ runner: { uuid: string; token: string } }>('Register', {
    name: 'pretend',
    token: about.registrationToken,
    version: 'pretend',
    labels,
  })
  const own = { 'x-runner-uuid': runner.uuid, 'x-runner-token': runner.token }
  await ask('Declare', { version: 'pretend', labels }, own)
  const fetchTask = async () =>
    (await ask<{ task?: Task }>('FetchTask', { tasksVersion: '0' }, own)).task ?? null

  const runAndTell = async (task: Task): Promise<Done> => {
    const startedAt = new Date().toISOString()
    const done = await runTask(task, about)
    const result = done.failed === null ? 'RESULT_SUCCESS' : 'RESULT_FAILURE'
    const state = { id: task.id, result, startedAt, stoppedAt: new Date().toISOString() }
    await ask('UpdateTask', { state }, own)
    return done
  }
  return {
    async work(what, isSo) {
      const done: Done[] = []
      await until(
        what,
        async () => {
          const task = await fetchTask()
          if (task !== null) done.push(await runAndTell(task))
          return task === null && (await isSo(done))
        },
        { withinMs: 40_000, everyMs: 200 },
      )
      return done
    },
  }
}

async function runTask(
  task: Task,
  about: { folder: string; environment: Record<string, string> },
): Promise<Done> {
  const workflow = parse(Buffer.from(task.workflowPayload, 'base64').toString()) as Workflow
  const [name, job] = Object.entries(workflow.jobs)[0] as [string, Job]
  const context = (key: string) => String(task.context[key] ?? '')
  const folder = join(about.folder, task.id)
  mkdirSync(folder, { recursive: true })
  const on = {
    folder,
    environment: {
      ...about.environment,
      GITHUB_SERVER_URL: context('server_url'),
      GITHUB_REPOSITORY: context('repository'),
      GITHUB_SHA: context('sha'),
      GITHUB_REF: context('ref'),
      GITHUB_EVENT_NAME: context('event_name'),
      GITHUB_RUN_ID: context('run_id'),
    },
    expressions: expressionsOf(task),
  }
  const about_ = { workflow: workflow.name, job: name, event: context('event_name'), sha: context('sha') }
  let output = ''
  let failed: string | null = null
  try {
    for (const step of job.steps) {
      // The two conditions that our workflows have: none, and `failure()`.
      if ((step.if === undefined) !== (failed === null)) continue
      const finished = await runStep(step, job, on)
      output += finished.stdout + finished.stderr
      if (finished.exitCode !== 0) failed = step.name ?? ''
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return { ...about_, failed, output }
}

function expressionsOf({ secrets = {}, vars = {} }: Task): Record<string, string> {
  const named = (kind: string, values: Record<string, string>) =>
    Object.entries(values).map(([key, value]) => [`${kind}.${key}`, value])
  return Object.fromEntries([...named('secrets', secrets), ...named('vars', vars)]) as Record<string, string>
}
