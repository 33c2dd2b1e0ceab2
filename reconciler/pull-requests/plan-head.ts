import { createHmac } from 'node:crypto'
import { readDesiredState } from '../desired-state/read.ts'
import type { Finding } from '../desired-state.ts'
import { codeOf, reasonOf, SamovarError } from '../errors.ts'
import type { PullRequestHead, PullRequestLimits } from '../git/pull-request.ts'
import { hostKey } from '../host-key.ts'
import { type Loaded, loadCommit } from '../load.ts'
import type { Outlook } from '../look.ts'
import type { Parts } from '../parts.ts'
import { standInsFor } from '../secrets/secrets.ts'
import { settingChanges, variableChanges } from './desired-changes.ts'
import { headChanges } from './head-changes.ts'
import { headImages } from './head-images.ts'
import type { HeadPlan } from './head-plan.ts'
import { renderBoth, type StandIn } from './head-renderings.ts'
import { hiding } from './hidden-values.ts'

export type HeadLimits = Partial<PullRequestLimits> & {
  /** Milliseconds for all of it. */
  withinMs?: number
  /** More services than this are not planned. */
  services?: number
}

export type PlanHeadOptions = {
  parts: Parts
  /** The last look at the host, with the desired state in force. */
  outlook: Outlook
  number: number
  /** The head that Gitea named; the one that is fetched counts, which may be newer. */
  head: string
  limits?: HeadLimits
}

const longest = 60_000
const mostServices = 300
const mostFindings = 200

/** What is wrong with the pull request, or took too long. What is not its fault has no such answer and is thrown. */
function refusal(error: unknown): string | null {
  const code = codeOf(error)
  // Whoever finds a way to make Samovar stumble must not keep it from everybody else's pull requests.
  if (code === undefined)
    return `Samovar itself failed (${error instanceof Error ? error.name : 'an error'}); next: look at its log and report it`
  // Compose took it without secrets before, so this is about the commit in force, and its words are not for here.
  if (code === 'compose-refused')
    return 'Compose refuses the commit in force when its secrets are left out; next: samovar validate on the branch'
  return ['desired-state-invalid', 'timed-out', 'not-found'].includes(code) ? reasonOf(error) : null
}

/**
 * Plans the head of a pull request against this host, without doing anything of it: nothing of the branch is run, no
 * image is pulled, nothing is written to the host or into the journal, and nothing but its own checkout is read. A
 * secret that the commit in force does not name alike is not read either.
 *
 * It is told what would be done if it were merged now. What cannot be planned (too large, took too long, does not fit
 * on the disk limits) is an answer, too.
 *
 * @throws SamovarError `source-unreachable`, `engine-unreachable`, `interrupted`: try again later
 */
export async function planHead(options: PlanHeadOptions): Promise<HeadPlan> {
  const { parts, number, limits = {} } = options
  const done = new AbortController()
  const blank = blankPlan(options)
  let fetched: PullRequestHead | null = null
  const keep = async (head: PullRequestHead): Promise<void> => {
    fetched = head
    blank.head = head.commit
    blank.standing = head.standing
    if (done.signal.aborted) await head.remove().catch(() => undefined)
  }
  const work = plan(options, blank, keep)
  // Whoever came too late has no listener any more.
  work.catch(() => undefined)
  const withinMs = limits.withinMs ?? longest
  const over = parts.clock.sleep(withinMs, done.signal).then(() => null)
  try {
    const answer = await Promise.race([work, over])
    if (answer !== null) return answer
    const seconds = Math.round(withinMs / 1000)
    return { ...blank, refused: `pull request #${number} took longer than ${seconds} s to plan` }
  } catch (error) {
    const refused = refusal(error)
    if (refused === null) throw error
    return { ...blank, refused }
  } finally {
    done.abort()
    // What still reads the checkout fails at its next file, so this also ends work that took too long.
    // What cannot be removed now goes with a later fetch.
    await (fetched as PullRequestHead | null)?.remove().catch(() => undefined)
  }
}

function blankPlan({ parts, outlook, number, head }: PlanHeadOptions): HeadPlan {
  const inForce = outlook.loaded
  return {
    number,
    head,
    against: inForce.commit,
    at: parts.now(),
    timezone: inForce.state.host.timezone,
    standing: 'current',
    findings: [],
    moreFindings: 0,
    refused: null,
    changes: [],
    order: [],
    unchanged: 0,
    variables: { changed: [], new: [], gone: [] },
    settings: [],
    disk: { free: null, needed: null },
    fingerprint: '',
  }
}

async function plan(
  options: PlanHeadOptions,
  blank: HeadPlan,
  keep: (head: PullRequestHead) => Promise<void>,
): Promise<HeadPlan> {
  const { parts, outlook, limits = {} } = options
  const { considered, loaded: inForce } = outlook
  if (considered === undefined)
    return {
      ...blank,
      refused: 'the host was not looked at yet; next: nothing, it is planned after the first pass',
    }
  const fetched = await fetchHead(options)
  await keep(fetched)
  const root = await fetched.checkout()
  const standIn = standInFor(parts, fetched.commit)
  const { loaded: head, findings, hide } = await read(options, { commit: fetched.commit, root, standIn })
  if (head === null) return { ...blank, ...findingsTold(findings, hide) }
  const refused = tooMuch(head, inForce, limits.services ?? mostServices)
  if (refused !== null) return { ...blank, refused }
  const images = {
    head: await headImages(parts, head, { inForce, targets: outlook.targets.list }),
    inForce: new Map(
      outlook.targets.list.map(({ service, image, problem }) => [service, { image, problem }] as const),
    ),
  }
  const renderings = await renderBoth(parts, { head, inForce, images, standIn })
  const sight = { parts, head, inForce, outlook: { ...outlook, considered }, renderings, hide }
  return {
    ...blank,
    ...(await headChanges(sight)),
    timezone: head.state.host.timezone,
    variables: variableChanges(head.state.host, inForce.state.host),
    settings: settingChanges(head, inForce),
  }
}

/** A branch that Git refuses is the fault of the branch when the repository answers otherwise. */
async function fetchHead({ parts, number, outlook, limits }: PlanHeadOptions): Promise<PullRequestHead> {
  const base = outlook.loaded.commit
  try {
    return await parts.source.pullRequest({ number, base, ...(limits === undefined ? {} : { limits }) })
  } catch (error) {
    if (codeOf(error) !== 'source-unreachable') throw error
    await parts.source.head()
    throw new SamovarError('not-found', `pull request #${number} could not be fetched`, { cause: error })
  }
}

/**
 * What stands for a secret: nobody can know it who writes the commit, and so write it in place of the secret to have it
 * look unchanged.
 */
function standInFor({ settings }: Parts, commit: string): StandIn {
  const mark = createHmac('sha256', hostKey(settings.stateDir)).update(commit).digest('hex').slice(0, 12)
  const of = (name: string): string => `secret-${name}-${mark}`
  return { of, tidy: (text) => text.replaceAll(`-${mark}`, '') }
}

/** Without any secret, as `validate` does it. */
async function read(
  { parts, outlook }: PlanHeadOptions,
  { commit, root, standIn }: { commit: string; root: string; standIn: StandIn },
) {
  const { directory } = parts.settings
  const { files } = await readDesiredState({ root, directory })
  const written = files.host?.yaml.value as { variables?: unknown } | null | undefined
  const values = hiding([written?.variables, outlook.loaded.state.host.variables])
  const hide = (text: string): string => values(standIn.tidy(text))
  const where = { compose: parts.compose, commit, root, directory }
  return { ...(await loadCommit({ ...where, values: standInsFor(standIn.of) })), hide }
}

function findingsTold(
  findings: Finding[],
  hide: (text: string) => string,
): Pick<HeadPlan, 'findings' | 'moreFindings'> {
  const shown = findings.slice(0, mostFindings).map((finding) => ({
    ...finding,
    file: hide(finding.file),
    key: hide(finding.key),
    message: hide(finding.message),
  }))
  return { findings: shown, moreFindings: findings.length - shown.length }
}

function tooMuch(head: Loaded, inForce: Loaded, most: number): string | null {
  const count = Object.keys(head.state.services).length
  if (count > most)
    return `it names ${count} services, and at most ${most} are planned; next: split the pull request`
  // Another project is other containers: what it would meet there is nobody's business here.
  return head.state.host.project === inForce.state.host.project
    ? null
    : 'it changes `project` in host.yaml: that makes every container and volume anew, which cannot be planned'
}
