import { until } from '../rig/until.ts'
import type { StackHost } from './stack-host.ts'
import { ask } from './visitors.ts'

export type Said = { status: number; body: Record<string, unknown> }

export const authorization = async (host: StackHost): Promise<string> =>
  `Basic ${Buffer.from(`operator:${await host.password()}`).toString('base64')}`

/** Gitea's API as its administrator, through the door. */
export async function api(host: StackHost, path: string, body?: object): Promise<Said> {
  const answer = await ask(host, `/api/v1${path}`, {
    headers: { authorization: await authorization(host), 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: JSON.parse(answer.text || '{}') as Record<string, unknown> }
}

/**
 * Changes the desired state as people do: a branch, a pull request, and a merge as soon as Gitea allows it. The status of the
 * plan is the daemon's; that of the workflow is said here, where no runner takes jobs.
 *
 * @returns the comment with the plan
 */
export async function merged(host: StackHost, ...changes: Parameters<StackHost['propose']>): Promise<string> {
  const { branch, commit } = await host.propose(...changes)
  const repository = '/repos/ops/host'
  const opened = await api(host, `${repository}/pulls`, { title: branch, head: branch, base: 'main' })
  const { number } = opened.body
  await api(host, `${repository}/statuses/${commit}`, {
    context: 'validate / validate (pull_request)',
    state: 'success',
  })
  await until(
    `Gitea merges #${String(number)}`,
    async () => {
      const { status, body } = await api(host, `${repository}/pulls/${String(number)}/merge`, { Do: 'merge' })
      if (status === 200) return true
      throw new Error(`${status} ${JSON.stringify(body)}`)
    },
    { withinMs: 60_000, everyMs: 300 },
  )
  const comments = await api(host, `${repository}/issues/${String(number)}/comments`)
  return JSON.stringify(comments.body)
}
