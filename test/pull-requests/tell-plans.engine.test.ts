import { expect, test } from 'vitest'
import type { CommitStatus, Forge, PullRequest } from '../../reconciler/gitea/forge.ts'
import { planTeller } from '../../reconciler/pull-requests/tell-plans.ts'
import { hostFile, openStage, type Stage, serviceFile } from './stage.ts'

const files = {
  'desired-state/host.yaml': hostFile(),
  'desired-state/services/web.yaml': serviceFile('1.0.0'),
  'compose/compose.yaml': 'services:\n  web:\n    image: web\n',
}
const newer = { 'desired-state/services/web.yaml': serviceFile('1.1.0') }

/** As Gitea lists it; only the branch itself, which planning fetches, may have moved since. */
const listed = (sha: string, number = 7): PullRequest => ({
  ...{ number, state: 'open', merged: false, mergeCommit: null, title: 'newer', body: '', author: 'alice' },
  ...{ draft: false, mergeable: true, labels: [], url: '', updatedAt: 0 },
  base: { branch: 'main', sha: '' },
  head: { branch: 'newer', sha, fork: false },
})

/** The calls that telling needs; pull requests that change one file each. */
function gitea(path = 'desired-state/services/web.yaml', statuses: CommitStatus[] = []): Forge {
  const calls: Partial<Forge> = {
    webUrl: 'https://git.example.com/ops/host',
    changedPaths: async (number) => {
      if (number === 8) throw new Error('a pull request that cannot be read')
      return { paths: [path], more: false }
    },
    statuses: async () => statuses,
  }
  return calls as Forge
}

function teller(stage: Stage, forge: Forge, problems: string[] = []) {
  const plans = planTeller(stage.parts, forge, {
    problem: (subject) => void problems.push(subject),
    well: () => undefined,
  })
  return async (...pulls: PullRequest[]) => plans.tell(pulls, await stage.look())
}
const waiting = (stage: Stage) =>
  stage.journal.waitingMessages().map(({ subject, slot }) => `${subject} ${slot}`)

test('a push between listing and planning: what was planned is not told of the head that nobody planned', async () => {
  await using stage = await openStage(files)
  await stage.pass()
  const tell = teller(stage, gitea())
  const before = await stage.offer(files)
  const head = await stage.offer(newer)
  await tell(listed(before))
  expect([waiting(stage), stage.journal.toldPlan(7)]).toEqual([[], null])
  await tell(listed(head))
  expect(waiting(stage)).toEqual(['comment 7 plan', `status ${head} samovar/plan`])
  expect(stage.journal.toldPlan(7)).toMatchObject({ head, state: 'success' })
})

test('one that cannot be looked at keeps no other from its plan, and is told', async () => {
  await using stage = await openStage(files)
  await stage.pass()
  const head = await stage.offer(newer)
  const problems: string[] = []
  await teller(stage, gitea(), problems)(listed(head, 8), listed(head, 7))
  expect(problems).toEqual(['pull request #8'])
  expect(stage.journal.toldPlan(7)?.head).toBe(head)
})

test('what changes nothing of the host gets its required status, and no comment', async () => {
  await using stage = await openStage(files)
  await stage.pass()
  const head = await stage.offer({ 'docs/one.md': 'one\n' })
  await teller(stage, gitea('docs/one.md'))(listed(head))
  expect(waiting(stage)).toEqual([`status ${head} samovar/plan`])
  expect(stage.journal.waitingMessages()[0]?.content).toContain('it changes nothing of the host')
})
