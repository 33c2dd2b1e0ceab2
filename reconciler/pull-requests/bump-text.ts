import type { ServicePolicy } from '../desired-state.ts'
import { markerLine } from '../gitea/comment.ts'
import { code } from '../gitea/markdown.ts'
import { durationInWords } from '../health/clock.ts'

/** What a pull request proposes; it is what waits in the outbox, too. */
export type BumpContent = {
  service: string
  file: string
  image: string
  from: { tag: string; digest: string | null }
  to: { tag: string; digest: string }
  step: 'patch' | 'minor' | 'major' | 'digest'
  /** Milliseconds since 1970, or null when the registry does not say. */
  created: number | null
  /** Address of the release notes, or null. */
  notes: string | null
  /** When it was found, milliseconds since 1970. */
  found: number
}

export function bumpText(
  bump: BumpContent,
  about: { policy: ServicePolicy; hostName: string; keepsDataOf: string[] },
): { title: string; body: string } {
  const { service, from, to, step } = bump
  const { policy, hostName, keepsDataOf } = about
  const title =
    step === 'digest' ? `Rebuild of ${service} ${to.tag}` : `Bump ${service} from ${from.tag} to ${to.tag}`
  const rows: [string, string][] = [
    ['image', code(bump.image)],
    ['before', `${code(from.tag)} ${code(from.digest ?? '')}`.trim()],
    ['after', `${code(to.tag)} ${code(to.digest)}`],
    ['kind of change', kindInWords[step]],
    ['image built', bump.created === null ? '' : code(new Date(bump.created).toISOString())],
    [
      'release notes',
      bump.notes === null ? 'not known; `update.releaseNotes` names them' : `<${bump.notes}>`,
    ],
  ]
  const body = [
    markerLine(`bump ${service}`),
    `${step === 'digest' ? 'A rebuilt image' : 'A newer version'} of ${code(service)} for ${code(hostName)}.`,
    '',
    '| | |',
    '|---|---|',
    ...rows.filter(([, text]) => text !== '').map(([a, b]) => `| ${a} | ${b} |`),
    '',
    '**When this is merged, Samovar will**',
    '',
    ...whatHappens(policy, keepsDataOf),
    '',
    policy.update.policy === 'automatic'
      ? 'Samovar merges this itself when the required checks have passed. Close it, and this version is not proposed again; reopen it, or `samovar retry SERVICE`, to have it proposed again.'
      : 'It waits for a person. Close it, and this version is not proposed again; reopen it, or `samovar retry SERVICE`, to have it proposed again.',
  ]
  return { title, body: `${body.join('\n')}\n` }
}

const kindInWords: Record<BumpContent['step'], string> = {
  patch: 'patch: corrections of the same version',
  minor: 'minor: new features',
  major: '**major: expect breaking changes**',
  digest: 'the same version, built anew (most often a newer base system)',
}

function whatHappens(policy: ServicePolicy, keepsDataOf: string[]): string[] {
  const { data, backup, update, health, revert } = policy
  const { window } = update
  const parts = data.map((part) =>
    'postgres' in part ? `database ${code(part.database)}` : `volume ${code(part.volume)}`,
  )
  if (keepsDataOf.length > 0)
    parts.push(`what ${keepsDataOf.map((each) => code(each)).join(', ')} keeps in it`)
  const isBackedUp = parts.length > 0 && backup.before === 'update'
  const back = revert.data === 'restore' && isBackedUp ? 'image and data go back' : 'the image goes back'
  return [
    `1. ${window === null ? 'start at once' : `wait for the window ${code(window)}`} and fetch the image by its digest,`,
    isBackedUp
      ? `2. back up ${parts.join(', ')} and prove the backup,`
      : `2. take no backup${parts.length > 0 ? ' (the policy says so)' : ': the service has no data'},`,
    '3. swap the container and keep the old one,',
    `4. check its health (${checksInWords(health.checks.length)}, at most ${durationInWords(health.within)}); when that fails, ${back}${revert.repository === 'none' ? '' : ', and Samovar opens a pull request that takes this back'}.`,
  ]
}

const checksInWords = (count: number): string =>
  count === 0
    ? "the image's own health check, or running without a restart"
    : count === 1
      ? 'one check'
      : `${count} checks`
