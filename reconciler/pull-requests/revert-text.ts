import type { ServicePolicy } from '../desired-state.ts'
import type { ImageReference } from '../engine/engine.ts'
import { markerLine } from '../gitea/comment.ts'
import { block, code } from '../gitea/markdown.ts'
import { durationInWords } from '../health/clock.ts'
import type { Operation, Step } from '../journal/operation.ts'

/** What a person reads who finds the revert in the morning. Everything in it is masked already. */
export function revertText(about: {
  operation: Operation
  steps: Step[]
  policy: ServicePolicy
  hostName: string
  link: string
}): { title: string; body: string } {
  const { operation, policy, hostName } = about
  const { service, from, to } = operation
  const title = isBump(operation)
    ? `Revert ${service} to ${from?.tag ?? ''}`
    : `Revert the configuration of ${service}`
  const body = [
    markerLine(`revert ${operation.id}`),
    `${what(operation)} did not hold on ${code(hostName)}; what ran before runs again, and that was checked.`,
    '',
    `**Failing check:** ${failing(operation)}`,
    '',
    ...table(operation),
    '',
    ...evidence(about.steps),
    '**What to do**',
    '',
    ...todo(operation, policy),
    ...(about.link === '' ? [] : ['', `Every step: ${about.link}`]),
  ]
  return { title, body: `${body.join('\n')}\n` }

  function what(each: Operation): string {
    if (!isBump(each)) return `A new configuration of ${code(service)}`
    return `${code(service)} ${code(to?.tag ?? '')}`
  }
}

export const isBump = ({ from, to }: Pick<Operation, 'from' | 'to'>): boolean => from?.digest !== to?.digest

function failing({ intent, reason }: Operation): string {
  const { failedCheck } = intent
  return failedCheck === undefined
    ? code(reason, 500)
    : `${code(failedCheck.name)}: ${code(failedCheck.said, 500)}`
}

function table(operation: Operation): string[] {
  const { from, to, downtimeMs, startedAt, finishedAt, commit, id } = operation
  const data = operation.intent.data
  const rows: [string, string][] = [
    ['failed', imageInWords(to)],
    ['runs again', imageInWords(from)],
    ['commit', code(commit)],
    ['operation', code(id)],
    ['tried at', code(new Date(startedAt).toISOString())],
    ['took', finishedAt === null ? '' : durationInWords(finishedAt - startedAt)],
    ['downtime', downtimeMs === null ? '' : durationInWords(downtimeMs)],
    ['backup', data?.backup === null || data === undefined ? '' : code(data.backup.id)],
    ['data', dataInWords(operation)],
  ]
  return ['| | |', '|---|---|', ...rows.filter(([, text]) => text !== '').map(([a, b]) => `| ${a} | ${b} |`)]
}

const imageInWords = (image: ImageReference | null): string =>
  image === null ? '' : `${code(`${image.name}:${image.tag}`)} ${code(image.digest)}`

function dataInWords({ intent }: Operation): string {
  if (intent.data === undefined) return 'the service has none'
  if (intent.data.lostMs === null) return 'was left as it is'
  return `is back as of the backup; ${durationInWords(intent.data.lostMs)} of writes before the stop were lost`
}

function evidence(steps: Step[]): string[] {
  const log = steps.findLast((step) => step.name === 'capture evidence')?.detail.trim() ?? ''
  return log === '' ? [] : ['Last lines of its log:', '', block(log), '']
}

function todo(operation: Operation, policy: ServicePolicy): string[] {
  const { service } = operation
  if (!isBump(operation))
    return [
      '- Merge this, so that the repository says again what runs. Until then the configuration is in quarantine.',
      `- Or push a correction instead, and close this. ${code(`samovar retry ${service}`)} tries the same once more.`,
    ]
  const merged =
    policy.update.policy === 'automatic'
      ? '- Nothing: Samovar merges this itself when its checks have passed.'
      : '- Merge this, so that the repository says again what runs.'
  return [
    merged,
    '- This version is in quarantine and is not proposed again.',
    `- If it was not to blame: ${code(`samovar retry ${service}`)} tries it once more, then close this.`,
  ]
}
