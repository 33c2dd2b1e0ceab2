import type { CommitStatus } from './gitea/forge.ts'
import { durationInWords } from './health/clock.ts'
import { isRollOut, type Operation } from './journal/operation.ts'
import type { Change } from './plan/change.ts'
import type { Plan } from './plan/plan.ts'
import type { PassReport } from './reconcile.ts'

/** A status and the commit it belongs to. */
export type Said = { sha: string; status: CommitStatus }

type Links = {
  /** Address of an operation, or an empty text. */
  operation(id: string): string
}

/** Where the HTTP server of Samovar shows an operation; empty when nobody said how it is reached. */
export const linksFrom = (publicUrl: string | null): Links => ({
  operation: (id) => (publicUrl === null ? '' : `${publicUrl}/operations/${encodeURIComponent(id)}`),
})

/** What is said when a roll-out begins; null for what is no matter of a commit. */
export function saidOfBegin(operation: Operation, links: Links): Said | null {
  if (!isOfCommit(operation)) return null
  return saidOf(operation, { state: 'pending', description: `rolling out ${versions(operation)}` }, links)
}

/** What is said when a roll-out has ended; null for what is no matter of a commit, or was only cut short. */
export function saidOfEnd(operation: Operation, links: Links): Said | null {
  if (!isOfCommit(operation)) return null
  const { result, reason } = operation
  switch (result) {
    case 'applied':
      return saidOf(operation, { state: 'success', description: appliedInWords(operation) }, links)
    case 'reverted':
      return saidOf(operation, { state: 'failure', description: revertedInWords(operation) }, links)
    case 'untouched':
      return saidOf(operation, { state: 'failure', description: `not rolled out: ${reason}` }, links)
    case 'stuck':
      return saidOf(
        operation,
        { state: 'error', description: `stuck, a person must look (docs/operations.md): ${reason}` },
        links,
      )
    case 'running':
      return null
    default:
      return result satisfies never
  }
}

/**
 * What a pass says of the commit it followed: what is held and why, and the host as a whole. A newer commit that is
 * not valid gets its findings; their text may quote a value, so only the places are named.
 */
export function saidOfPass(report: PassReport, broken: ReadonlySet<string>): Said[] {
  const said: Said[] = []
  const { commit, findings, findingsCommit, plan } = report
  if (findingsCommit !== null && findings.length > 0) {
    const places = findings.map((each) => `${each.file}:${each.line}:${each.column}`)
    const count = findings.length === 1 ? '1 finding' : `${findings.length} findings`
    const description = `not valid, nothing of it is rolled out: ${count}: ${places.join(', ')}`
    said.push({ sha: findingsCommit, status: host('failure', description) })
  }
  if (commit === null || plan === null) return said
  const held = plan.changes.filter((change) => change.action !== 'none' && change.held !== null)
  for (const change of held) {
    if (change.drift || broken.has(change.service)) continue
    const isBad = /^(quarantined|stuck)\b/.test(change.held ?? '')
    const words = isBad ? (change.held ?? '') : `waits: ${change.held}`
    said.push({ sha: commit, status: service(change.service, isBad ? 'failure' : 'pending', words) })
  }
  said.push({ sha: commit, status: hostStatus(plan.changes, held, broken) })
  return said
}

/** What is said when a pass finds something to do, which may take it minutes; null when there is nothing. */
export function saidOfLook({ commit, changes }: Plan): Said | null {
  const open = changes.filter((each) => each.action !== 'none' && each.held === null && !each.drift)
  return open.length === 0 ? null : { sha: commit, status: hostStatus(open, [], new Set()) }
}

/** What is said of the commit in force when a pass could not even look. The reason may name what is nobody's business. */
export const saidOfFailure = (commit: string): Said => ({
  sha: commit,
  status: host('error', 'the host could not be looked at; samovar status says why'),
})

function hostStatus(changes: Change[], held: Change[], broken: ReadonlySet<string>): CommitStatus {
  const bad = changes.filter((change) => broken.has(change.service)).map((change) => change.service)
  if (bad.length > 0) return host('failure', `not as this commit says: ${bad.join(', ')}`)
  const open = changes.filter((change) => change.action !== 'none' && change.held === null)
  if (open.length > 0) return host('pending', `still to be done: ${names(open)}`)
  if (held.length > 0) return host('pending', `held: ${names(held)}`)
  const count = changes.length === 1 ? 'the one service is' : `all ${changes.length} services are`
  return host('success', `${count} as this commit says`)
}

const names = (changes: Change[]): string => changes.map((change) => change.service).join(', ')

/** Backups and jobs are nobody's commit, and what drifted was mended without one. */
const isOfCommit = (operation: Operation): boolean =>
  isRollOut(operation) && operation.kind !== 'rollback' && !operation.intent.drift

function saidOf(
  operation: Operation,
  what: { state: CommitStatus['state']; description: string },
  links: Links,
): Said {
  const status = service(operation.service, what.state, what.description)
  return { sha: operation.commit, status: { ...status, targetUrl: links.operation(operation.id) } }
}

/** These two mean the host as a whole and the plan of a pull request. */
const taken = new Set(['host', 'plan'])

const service = (name: string, state: CommitStatus['state'], description: string): CommitStatus =>
  said(taken.has(name) ? `${name} (service)` : name, state, description)

const said = (name: string, state: CommitStatus['state'], description: string): CommitStatus => ({
  context: `samovar/${name}`,
  state,
  description,
  targetUrl: '',
})

const host = (state: CommitStatus['state'], description: string): CommitStatus =>
  said('host', state, description)

function versions({ kind, from, to }: Operation): string {
  if (kind === 'remove') return `the end of ${from?.tag ?? 'it'}`
  if (from === null || from.tag === to?.tag) return to?.tag ?? ''
  return `${from.tag} -> ${to?.tag ?? ''}`
}

function appliedInWords(operation: Operation): string {
  const { kind, to, downtimeMs, backup } = operation
  if (kind === 'remove') return 'it left the desired state and is stopped'
  const down = downtimeMs === null ? '' : `, ${durationInWords(downtimeMs)} of downtime`
  const saved = backup === null ? '' : `, backup ${backup}`
  return `${to?.tag ?? ''} runs and is healthy${down}${saved}`
}

function revertedInWords({ from, intent, reason }: Operation): string {
  const dataToo = intent.data?.lostMs === null || intent.data === undefined ? '' : ' and its data'
  return `reverted to ${from?.tag ?? 'what ran before'}${dataToo}: ${reason}`
}
