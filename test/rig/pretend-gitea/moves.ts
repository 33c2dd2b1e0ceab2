import { branchesOf, mergedTree, nobody, setRef } from './git.ts'
import { pullOf } from './pull-object.ts'
import { announcePull, announcePush } from './webhooks.ts'
import { type Pull, protectionOf, type Repository, type World } from './world.ts'

/**
 * What follows from a branch that was pushed, made or deleted, however that came about: pull requests follow their
 * branch, or are closed with it, and whoever wants to know is told.
 */
export async function branchMoved(
  world: World,
  repository: Repository,
  moved: { branch: string; before: string; after: string; login: string },
): Promise<void> {
  await announcePush(world, repository, moved)
  for (const pull of repository.pulls.filter((each) => each.state === 'open' && each.head === moved.branch)) {
    if (moved.after === nobody) {
      pull.state = 'closed'
      await tell(world, repository, pull, { action: 'closed', login: moved.login })
    } else await headMoved(world, repository, pull, moved)
  }
}

async function headMoved(
  world: World,
  repository: Repository,
  pull: Pull,
  moved: { after: string; login: string },
): Promise<void> {
  pull.headSha = moved.after
  await setRef(repository.bare, `refs/pull/${pull.number}/head`, moved.after)
  if (protectionOf(repository, pull.base)?.dismiss_stale_approvals === true)
    for (const review of pull.reviews) review.dismissed = true
  await tell(world, repository, pull, { action: 'synchronized', login: moved.login })
}

export async function tell(
  world: World,
  repository: Repository,
  pull: Pull,
  what: { action: 'opened' | 'synchronized' | 'closed' | 'reopened' | 'edited'; login: string },
): Promise<void> {
  pull.updatedAt = Math.max(Date.now(), pull.updatedAt + 1)
  const object = await pullOf(world, repository, pull, { mergeable: false })
  announcePull(world, repository, pull, { ...what, object })
}

/** After a push of Git itself: each branch that is another one than before. */
export async function branchesMoved(
  world: World,
  repository: Repository,
  before: Map<string, string>,
  login: string,
): Promise<void> {
  const now = await branchesOf(repository.bare)
  for (const branch of new Set([...before.keys(), ...now.keys()])) {
    const [from, to] = [before.get(branch) ?? nobody, now.get(branch) ?? nobody]
    if (from !== to) await branchMoved(world, repository, { branch, before: from, after: to, login })
  }
}

/**
 * Whether it can be merged, as Gitea says it: after each push of head or base it looks for conflicts by and by, and until
 * then the answer is no. Here the first who asks gets that no.
 */
export async function looksMergeable(repository: Repository, pull: Pull): Promise<boolean> {
  const base = (await branchesOf(repository.bare)).get(pull.base) ?? nobody
  const looked = `${pull.headSha} ${base}`
  if (pull.looked !== looked) {
    pull.looked = looked
    return false
  }
  return (
    !/^(WIP:|\[WIP\])/i.test(pull.title) && (await mergedTree(repository.bare, base, pull.headSha)) !== null
  )
}
