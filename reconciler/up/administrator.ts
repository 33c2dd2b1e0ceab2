import type { Engine } from '../engine/engine.ts'
import { codeOf, SamovarError } from '../errors.ts'
import type { SecretFiles } from '../gitea/secret-files.ts'
import type { Setup } from '../gitea/setup-calls.ts'
import type { Journal } from '../journal.ts'
import { done, fine, type UpStep } from './step.ts'

export type Administrator = { user: string; password: string }

export type AdministratorParts = {
  engine: Pick<Engine, 'run'>
  journal: Pick<Journal, 'note' | 'writeNote'>
  files: SecretFiles
  connect: (as: Administrator) => Pick<Setup, 'currentUser'>
}

export type AdministratorWanted = {
  /** Instance of Gitea's container. */
  instance: string
  login: string
  /** Host of the mail address that Gitea wants, and that nobody writes to. */
  mailHost: string
  passwordFile: string
  /** Named by a person; then nothing is made. */
  given: Administrator | null
  /** An earlier run has come to its end, so that the password may have been taken away. */
  isSwitched: boolean
}

/** What the journal knows of the account that was made here; `isMade` when its password was written down. */
type Note = { login: string; isMade: boolean }
const noteName = 'up-administrator'

/**
 * An administrator whose password is known; null when none is needed any more. The first one of a new Gitea is made in its container: with a password that
 * Gitea chooses, since one that is handed over could be read in the list of processes. When the process dies before
 * that password is written down it is lost: then another account is made and that one, which nobody can use, removed.
 *
 * @throws SamovarError `settings-invalid` when Gitea has administrators that were not made here
 */
export async function administrator(
  parts: AdministratorParts,
  wanted: AdministratorWanted,
): Promise<{ administrator: Administrator | null; step: UpStep }> {
  const name = 'administrator'
  if (wanted.given !== null)
    return { administrator: wanted.given, step: fine(name, `${wanted.given.user}, as the settings name it`) }
  const note = JSON.parse(parts.journal.note(noteName) ?? 'null') as Note | null
  const password = parts.files.read(wanted.passwordFile)
  if (note !== null && password !== null) {
    const known = { user: note.login, password }
    if (await isAccepted(parts, known)) {
      parts.journal.writeNote(noteName, JSON.stringify({ ...note, isMade: true }))
      return {
        administrator: known,
        step: fine(name, `${note.login}, its password is in ${wanted.passwordFile}`),
      }
    }
    if (!wanted.isSwitched)
      throw unknownPassword(note.login, `Gitea refuses the one in ${wanted.passwordFile}`)
  }
  if (wanted.isSwitched)
    return { administrator: null, step: fine(name, 'none is needed: all was set up in an earlier run') }
  if (note?.isMade === true) throw unknownPassword(note.login, `${wanted.passwordFile} is gone`)
  const there = await administrators(parts, wanted.instance)
  const lost = note !== null && there.includes(note.login) ? note.login : null
  const others = there.filter((login) => login !== lost)
  if (others.length > 0)
    throw unknownPassword(others[0] ?? '', 'it was not made by samovar up', others.length - 1)
  return make(parts, wanted, lost)
}

async function make(
  parts: AdministratorParts,
  wanted: AdministratorWanted,
  lost: string | null,
): Promise<{ administrator: Administrator; step: UpStep }> {
  const user = lost === wanted.login ? `${wanted.login}-2` : wanted.login
  parts.journal.writeNote(noteName, JSON.stringify({ login: user, isMade: false } satisfies Note))
  const output = await command(parts, wanted.instance, [
    ...['admin', 'user', 'create', '--admin', '--username', user, '--email', `${user}@${wanted.mailHost}`],
    ...['--random-password', '--random-password-length', '24', '--must-change-password=false'],
  ])
  const password = /generated random password is '(.*)'/.exec(output)?.[1]
  if (password === undefined)
    throw new SamovarError('forge-refused', 'Gitea made the administrator, but told no password', {
      next: 'Run up again: it makes another one.',
    })
  parts.files.write(wanted.passwordFile, password)
  parts.journal.writeNote(noteName, JSON.stringify({ login: user, isMade: true } satisfies Note))
  if (lost !== null) await command(parts, wanted.instance, ['admin', 'user', 'delete', '--username', lost])
  return {
    administrator: { user, password },
    step: done('administrator', `${user}, its password is in ${wanted.passwordFile}`),
  }
}

async function isAccepted(parts: AdministratorParts, as: Administrator): Promise<boolean> {
  try {
    return (await parts.connect(as).currentUser()).admin
  } catch (error) {
    // Refused credentials; that Gitea is away was found before.
    if (codeOf(error) === 'forge-unreachable') return false
    throw error
  }
}

async function administrators(parts: AdministratorParts, instance: string): Promise<string[]> {
  const output = await command(parts, instance, ['admin', 'user', 'list', '--admin'])
  return [...output.matchAll(/^\d+\s+(\S+)\s/gm)].map(([, login = '']) => login)
}

/**
 * `gitea ...` as the user that Gitea runs as: it refuses to work as root, which its root image starts as. A container
 * of the rootless image is that user already.
 */
const asGitea = 'if [ "$(id -u)" = 0 ]; then exec su-exec "${USER:-git}" gitea "$@"; else exec gitea "$@"; fi'

async function command(parts: AdministratorParts, instance: string, words: string[]): Promise<string> {
  const { exitCode, output } = await parts.engine.run(
    instance,
    ['sh', '-c', asGitea, 'gitea', ...words],
    60_000,
  )
  if (exitCode === 0) return output
  const said = output.trim().split('\n').at(-1) ?? ''
  throw new SamovarError('forge-refused', `gitea ${words.slice(0, 3).join(' ')} failed: ${said}`, {
    next: 'Run up again when Gitea is well; its log (docker logs) may say more.',
  })
}

function unknownPassword(login: string, why: string, more = 0): SamovarError {
  const others = more === 0 ? '' : ` and ${more} more`
  return new SamovarError(
    'settings-invalid',
    `Gitea has the administrator ${login}${others}, whose password is not known here: ${why}`,
    {
      next: 'Set SAMOVAR_GITEA_ADMIN_USER and SAMOVAR_GITEA_ADMIN_PASSWORD_FILE for this run.',
    },
  )
}
