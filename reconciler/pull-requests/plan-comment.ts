import { shortened } from '../gitea/commit-status.ts'
import type { CommitStatus } from '../gitea/forge.ts'
import { sizeInWords } from '../rollout/data.ts'
import { version as ownVersion } from '../version.ts'
import type { HeadChange, HeadPlan } from './head-plan.ts'
import { differencesOfPlans } from './outcome-comment.ts'
import {
  changeInWords,
  cut,
  dataInWords,
  differsInWords,
  downtimeInWords,
  downtimeOfAll,
  imageInWords,
  joined,
  listed,
  minuteInWords,
  ownChanges,
  plain,
  sentence,
  shown,
  startInWords,
  table,
} from './plan-words.ts'

export { outcomeComment } from './outcome-comment.ts'

export type AboutComment = {
  hostName: string
  /** Milliseconds since 1970. */
  now: number
  version?: string
  /** What was told here before, to say what is different now. */
  previous?: HeadPlan
}

const mostRows = 50
const mostFindings = 100

/**
 * What merging a pull request would do to the host, as Markdown for Gitea. Everything that comes from the pull request
 * stands in code, where it is no link, mention, image or HTML; it is bounded, each by itself and as a whole.
 */
export function planComment(plan: HeadPlan, about: AboutComment): string {
  const sections = [
    [`### ${headline(plan, about.hostName)}`],
    standing(plan),
    refusedSection(plan),
    findingsSection(plan),
    problemsSection(plan),
    changesSection(plan),
    waits(plan),
    order(plan),
    data(plan, about.now),
    beside(plan),
    sinceLastTime(plan, about.previous),
    footer(plan, about),
  ]
  return cut(sections.filter((lines) => lines.length > 0).flatMap((lines) => [...lines, '']))
}

/** The state of `samovar/plan`: what was told, in a line. */
export function planStatus(plan: HeadPlan): Pick<CommitStatus, 'state' | 'description'> {
  const answer = (state: CommitStatus['state'], text: string) => ({
    state,
    description: shortened(plain(text, 300)),
  })
  if (plan.refused !== null) return answer('error', `could not be planned: ${plan.refused}`)
  const [finding] = plan.findings
  if (finding !== undefined) {
    const count = plan.findings.length + plan.moreFindings
    const place = `${finding.file}:${finding.line}:${finding.column}`
    return answer('failure', `${count} ${count === 1 ? 'finding' : 'findings'}: ${place}: ${finding.message}`)
  }
  const refused = ownChanges(plan).find((change) => change.problems.length > 0)
  if (refused !== undefined)
    return answer('failure', `${refused.service} would be refused: ${refused.problems[0] ?? ''}`)
  const own = ownChanges(plan)
  if (own.length === 0) return answer('success', 'valid; it changes nothing that runs')
  const words = joined(own.slice(0, 4).map((change) => changeInWords(change, (text) => text)))
  const more = own.length > 4 ? ` and ${own.length - 4} more` : ''
  return answer('success', `would ${words}${more}; ${downtimeOfAll(own)}`)
}

function headline(plan: HeadPlan, hostName: string): string {
  const host = shown(hostName)
  if (plan.refused !== null) return `On ${host} this could not be planned`
  const count = plan.findings.length + plan.moreFindings
  if (count > 0)
    return `On ${host} this would not be rolled out: it has ${count} ${count === 1 ? 'finding' : 'findings'}`
  const own = ownChanges(plan)
  const rest = plan.changes.length - own.length
  const without =
    rest === 0 ? '' : `; ${rest} ${rest === 1 ? 'change' : 'changes'} would be made without it, too`
  if (own.length === 0) return `On ${host} this would change nothing that runs${without}`
  const some = own.slice(0, 4).map((change) => changeInWords(change, shown))
  const words = own.length > 4 ? [...some, `${own.length - 4} more changes`] : some
  const refused = own.filter((change) => change.problems.length > 0).length
  const not =
    refused === 0 ? '' : `; **${refused === own.length ? 'that' : `${refused} of them`} would be refused**`
  return `On ${host} this would ${joined(words)}; ${downtimeOfAll(own)}${not}${without}`
}

function standing({ standing: how }: HeadPlan): string[] {
  if (how === 'merged')
    return ['The branch is behind; this plan is of the branch merged with what is in force.']
  return how === 'alone'
    ? [
        '**The branch is behind and could not be put together with what is in force**, so this is told of the branch alone. Next: update the branch.',
      ]
    : []
}

function refusedSection({ refused }: HeadPlan): string[] {
  return refused === null ? [] : [sentence(refused)]
}

function findingsSection({ findings, moreFindings }: HeadPlan): string[] {
  if (findings.length === 0) return []
  const lines = findings
    .slice(0, mostFindings)
    .map(
      ({ file, line, column, key, message }) =>
        `- ${shown(`${file}:${line}:${column}`, 200)} ${shown(key)}: ${shown(message, 300)}`,
    )
  const more = findings.length - lines.length + moreFindings
  return [
    '**Findings.** A commit with one of them is not followed; the last good one stays in force. Next: correct them and push again; `samovar validate` finds them before.',
    '',
    ...lines,
    ...(more > 0 ? [`- and ${more} more`] : []),
  ]
}

function problemsSection(plan: HeadPlan): string[] {
  const lines = plan.changes.flatMap((change) =>
    change.problems.slice(0, 10).map((problem) => `- ${shown(change.service)}: ${sentence(problem)}`),
  )
  return lines.length === 0 ? [] : ['**What would be refused, and why**', '', ...lines]
}

function changesSection(plan: HeadPlan): string[] {
  if (plan.changes.length === 0) return []
  const rows = plan.changes
    .slice(0, mostRows)
    .map((change) => [
      shown(change.service),
      actionInWords(change),
      imageInWords(change.image?.before ?? null, change.image?.after ?? null),
      imageInWords(change.image?.after ?? null, change.image?.before ?? null),
      differsInWords(change),
      downtimeInWords(change),
      startInWords(change, plan.timezone),
    ])
  const head = ['Service', 'What', 'Before', 'After', 'What differs', 'Downtime', 'Starts']
  const more = plan.changes.length - rows.length
  const stay =
    plan.unchanged === 1
      ? 'One other service stays as it is.'
      : `${plan.unchanged === 0 ? 'There is no other service' : `The other ${plan.unchanged} services stay as they are`}.`
  return [...table(head, rows), '', ...(more > 0 ? [`And ${more} more changes.`] : []), stay]
}

function actionInWords({ action, pending, drift }: HeadChange): string {
  const why = drift ? ' (changed by hand)' : pending ? ' (merged already, not rolled out yet)' : ''
  return `${action}${why}`
}

function waits(plan: HeadPlan): string[] {
  const lines = plan.changes
    .filter((change) => change.held !== null)
    .map((change) => `- ${shown(change.service)}: ${sentence(change.held ?? '')}`)
  return lines.length === 0 ? [] : ['**What would wait**', '', ...lines]
}

function order({ order: services, changes }: HeadPlan): string[] {
  const with_ = changes.flatMap(({ service, brings, stops }) => [
    ...(brings.length === 0 ? [] : [`- ${listed(brings)} is swapped together with ${shown(service)}.`]),
    ...(stops.length === 0
      ? []
      : [`- ${listed(stops)} stops while ${shown(service)} is swapped, and starts again.`]),
  ])
  if (services.length < 2 && with_.length === 0) return []
  return [
    '**Order**',
    '',
    `- ${services
      .slice(0, 50)
      .map((service) => shown(service))
      .join(', then ')}`,
    ...with_,
  ]
}

function data(plan: HeadPlan, now: number): string[] {
  const lines = plan.changes.flatMap((change) =>
    change.data === null ? [] : [`- before ${shown(change.service)}: ${dataInWords(change.data, now)}.`],
  )
  const { free, needed } = plan.disk
  const isAboutImages = plan.changes.some(({ image }) => image?.after)
  const disk =
    free === null || !(isAboutImages || lines.length > 0)
      ? []
      : [
          `- Disk: ${sizeInWords(free)} free${needed === null ? '' : `, about ${sizeInWords(needed)} needed for a while`}.`,
        ]
  const title = lines.length === 0 ? '**Disk**' : '**What is backed up and proven first**'
  return lines.length + disk.length === 0 ? [] : [title, '', ...lines, ...disk]
}

function beside({ variables, settings, changes }: HeadPlan): string[] {
  const lines = [
    ...(['changed', 'new', 'gone'] as const)
      .filter((how) => variables[how].length > 0)
      .map((how) => `- Variables ${how}: ${listed(variables[how], 30)} (values are not shown).`),
    ...settings.slice(0, 30).map(({ of, keys }) => `- Other settings of ${shown(of)}: ${listed(keys)}.`),
    ...changes
      .filter((change) => change.newSecrets.length > 0)
      .map(
        (change) =>
          `- ${shown(change.service)} gets a secret that is new or comes from another place (${listed(change.newSecrets)}): it is read after the merge, so nobody can compare it before.`,
      ),
  ]
  return lines.length === 0 ? [] : ['**Also changed**', '', ...lines]
}

function sinceLastTime(plan: HeadPlan, previous: HeadPlan | undefined): string[] {
  if (previous === undefined || previous.fingerprint === plan.fingerprint) return []
  const lines = differencesOfPlans(previous.changes, plan.changes)
  return lines.length === 0 ? [] : ['**Different from what was told before**', '', ...lines.slice(0, 30)]
}

function footer(plan: HeadPlan, { now, version = ownVersion }: AboutComment): string[] {
  return [
    `Planned at ${minuteInWords(now, plan.timezone)} from ${shown(plan.head.slice(0, 10))} against ${shown(plan.against.slice(0, 10))}, which is in force, by Samovar ${shown(version)}. Nothing of this pull request was run, and the plan is made again when the branch, what is in force or the host changes.`,
  ]
}
