import type { ServicePolicy } from '../desired-state.ts'
import type { ImageReference } from '../engine/engine.ts'
import { markerLine } from '../gitea/comment.ts'
import { block, code } from '../gitea/markdown.ts'
import { durationInWords } from '../health/clock.ts'
import type { Operation, Step } from '../journal/operation.ts'
import { fullImageName } from '../version-bumps/image-name.ts'

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
    `${what(operation)} was **reverted** on ${code(hostName)}: what ran before runs again; its digest and its health checks were verified.`,
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

/** True when tag and digest of the same image say all that is to be taken back. */
export const isBump = ({ from, to }: Pick<Operation, 'from' | 'to'>): boolean =>
  from?.digest !== to?.digest && fullImageName(from?.name ?? '') === fullImageName(to?.name ?? '')

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
  return log === '' ? [] : ['Last log lines of what failed:', '', block(log), '']
}

function todo(operation: Operation, policy: ServicePolicy): string[] {
  const { service } = operation
  if (!isBump(operation))
    return [
      '- Merge this, so that the repository says again what runs. Until then the configuration is in quarantine.',
      '- Files that the change added stay: remove them by hand when they are not wanted.',
      `- Or push a correction instead, and close this. ${code(`samovar retry ${service}`)} tries the same once more.`,
    ]
  const retry = code(`samovar retry ${service}`)
  if (policy.update.policy === 'automatic')
    return [
      '- Nothing: Samovar merges this itself when its checks have passed. This version is not proposed again.',
      `- If it was not to blame: begin the title with ${code('WIP:')} before that, and run ${retry}; when the version holds then, Samovar closes this.`,
      `- Merged already? ${retry} lets the version be proposed again.`,
    ]
  return [
    '- Merge this, so that the repository says again what runs. This version is not proposed again.',
    `- If it was not to blame: ${retry} tries it once more; when it holds then, Samovar closes this.`,
  ]
}
