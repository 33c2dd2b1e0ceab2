import { latestStatuses } from './contents.ts'
import { changedFiles, commitOf, commitTree, isAncestor, mergedTree, nobody, setRef } from './git.ts'
import { branchMoved, looksMergeable, tell } from './moves.ts'
import { type Call, type Reply, repositoryFor, text } from './route.ts'
import { matches, type Pull, protectionOf, Refused, type Repository } from './world.ts'

/** 405 is "not now", 409 "not this"; in the order in which Gitea looks. */
export async function mergePull(call: Call): Promise<Reply> {
  const repository = repositoryFor(call, 'write')
  const pull = repository.pulls.find((each) => String(each.number) === call.params['number'])
  if (pull === undefined || (pull.state === 'closed' && !pull.merged))
    throw new Refused(404, "The target couldn't be found.")
  if (pull.merged) throw new Refused(405, 'The PR is already merged')
  if (!(await looksMergeable(repository, pull))) throw new Refused(405, 'Please try again later')
  await checkProtection(repository, pull)
  const wanted = text(call.body['head_commit_id'])
  if (wanted !== '' && wanted !== pull.headSha) {
    // After an attempt that failed, Gitea looks for conflicts anew.
    pull.looked = ''
    throw new Refused(409, 'head out of date')
  }
  const before = (await commitOf(repository.bare, `refs/heads/${pull.base}`)) ?? nobody
  const after = await merged(call, repository, { pull, base: before })
  await setRef(repository.bare, `refs/heads/${pull.base}`, after)
  Object.assign(pull, { state: 'closed', merged: true, mergeCommit: after })
  const { login } = call.account
  await tell(call.world, repository, pull, { action: 'closed', login })
  await branchMoved(call.world, repository, { branch: pull.base, before, after, login })
  if (call.body['delete_branch_after_merge'] === true) {
    await setRef(repository.bare, `refs/heads/${pull.head}`, null)
    const gone = { branch: pull.head, before: pull.headSha, after: nobody, login }
    await branchMoved(call.world, repository, gone)
  }
  return { status: 200 }
}

async function checkProtection(repository: Repository, pull: Pull): Promise<void> {
  const rule = protectionOf(repository, pull.base)
  if (rule === undefined) return
  const statuses = latestStatuses(repository, pull.headSha)
  const required = rule.status_check_contexts.length === 0 ? ['**'] : rule.status_check_contexts
  const isGreen = (glob: string) => {
    const own = statuses.filter((each) => matches(glob, each.context) || each.context === glob)
    return own.length > 0 && own.every((each) => ['success', 'skipped'].includes(each.status))
  }
  if (rule.enable_status_check && !required.every(isGreen))
    throw new Refused(405, 'Not all required status checks successful')
  const counted = pull.reviews.filter((each) => !each.dismissed)
  const approvals = new Set(counted.filter((each) => each.state === 'APPROVED').map((each) => each.author))
  if (approvals.size < rule.required_approvals) throw new Refused(405, 'Does not have enough approvals')
  if (rule.block_on_rejected_reviews && counted.some((each) => each.state === 'REQUEST_CHANGES'))
    throw new Refused(405, 'There are requested changes')
  const globs = rule.protected_file_patterns.split(';').filter((each) => each !== '')
  const files = globs.length === 0 ? [] : await changedFiles(repository.bare, pull.base, pull.headSha)
  if (files.some((file) => globs.some((glob) => matches(glob, file.filename))))
    throw new Refused(405, 'Changed protected files')
}

/** Rebasing is done only where it is a fast-forward; the rest of it is not pretended. */
async function merged(
  call: Call,
  repository: Repository,
  { pull, base }: { pull: Pull; base: string },
): Promise<string> {
  const style = text(call.body['Do'])
  const writer = { name: call.account.login, email: call.account.email }
  const title = text(call.body['MergeTitleField'])
  const message = `${title === '' ? `${pull.title} (#${pull.number})` : title}\n\n${text(call.body['MergeMessageField'])}`
  if (style === 'merge' || style === 'squash') {
    const tree = (await mergedTree(repository.bare, base, pull.headSha)) ?? ''
    const parents = style === 'merge' ? [base, pull.headSha] : [base]
    return await commitTree(repository.bare, { tree, parents, message, writer })
  }
  const isForward = await isAncestor(repository.bare, base, pull.headSha)
  if (!['rebase', 'fast-forward-only'].includes(style) || !isForward)
    throw new Refused(405, `Wrong merge style: ${style}`)
  return pull.headSha
}
