/**
 * Every error code of Samovar in one place: what the code means and how it is solved.
 * docs/errors.md is this table for readers; test/errors.test.ts keeps the two equal.
 */
export const errorTable = {
  'settings-invalid': {
    means: 'A setting from the environment is missing or cannot be read.',
    solve: 'Correct the variables that the message lists; `samovar doctor` checks them all.',
  },
  'desired-state-invalid': {
    means: 'The desired state of a commit has findings, so nothing of that commit is rolled out.',
    solve: 'Correct the lines that the message names (file:line:column) and push again.',
  },
  'compose-unavailable': {
    means: 'Compose v2 was not found; Samovar reads Compose files through it.',
    solve:
      'Install the Docker Compose plugin, so that `docker compose version` or `docker-compose version` answers.',
  },
  'compose-refused': {
    means: 'Compose, or the mapping from Compose to the Engine, does not accept a Compose file.',
    solve: 'Correct the file and key that the message names.',
  },
  'source-unreachable': {
    means: 'The host repository could not be fetched.',
    solve:
      'Check SAMOVAR_REPOSITORY, the network and the token. The last good commit stays in force meanwhile.',
  },
  'engine-unreachable': {
    means: 'The Docker Engine does not answer.',
    solve: 'Check DOCKER_HOST and that the Docker daemon runs.',
  },
  'engine-refused': {
    means: 'The Docker Engine refused a request.',
    solve: 'The message carries what the Engine said; most often a port, a path or an image is the reason.',
  },
  changed: {
    means: 'A container was changed by somebody else between looking and acting.',
    solve: 'Nothing to do: the next pass looks again.',
  },
  'image-unavailable': {
    means: 'An image could not be resolved or pulled.',
    solve: 'Check that the tag exists and that the registry can be reached and allows the pull.',
  },
  'name-taken': {
    means: 'A container that Samovar did not create has the name of a service.',
    solve: 'Rename or remove that container; Samovar does not touch what it did not create.',
  },
  'secret-missing': {
    means: 'A secret that host.yaml names cannot be read on this host, so what uses it is not touched.',
    solve: 'Put the value where the message says, readable for Samovar only; the next pass goes on.',
  },
  'data-not-covered': {
    means: 'The service has `data:` that cannot be backed up as the desired state has it.',
    solve: 'Correct what the message names; `backup: { before: none }` rolls out without a backup.',
  },
  'store-failed': {
    means: 'A store for backups could not be reached, or did not keep what it was given.',
    solve: 'The message names the store and what it said; `samovar doctor` tries every store.',
  },
  'store-conflict': {
    means: 'A store has another object under a key that is written once.',
    solve: 'Two hosts share a name and a store: give one of them another `name:` or another prefix.',
  },
  'backup-failed': {
    means: 'A backup could not be taken or proven, so nothing was replaced.',
    solve: 'The message names the part that failed; `samovar backup SERVICE` tries it by itself.',
  },
  'backup-damaged': {
    means: 'A part of a backup is not what its manifest says: missing, cut, changed or swapped.',
    solve:
      'Use another store or another backup: `samovar backups` lists them. Nothing was restored from this one.',
  },
  'backup-key': {
    means: 'A backup is encrypted and the key is missing or another one.',
    solve: 'Set SAMOVAR_BACKUP_KEY to the key that the backup was made with.',
  },
  'restore-incomplete': {
    means: 'Data is only half restored; nothing is started on it.',
    solve: '`samovar restore BACKUP` again, with the backup that the message names or another one.',
  },
  'job-failed': {
    means: 'A job ended with another exit code than 0, or was stopped at its time limit.',
    solve: '`samovar show OPERATION` has its last log lines; `samovar job NAME` runs it again.',
  },
  'timed-out': {
    means: 'A program or the engine took longer than it may.',
    solve: 'Look whether the host is overloaded, then try again.',
  },
  'disk-full': {
    means: 'There is not enough free disk for the roll-out.',
    solve: 'Free some space (`docker system df` shows where it went), then `samovar apply`.',
  },
  'health-check-failed': {
    means: 'The service did not become healthy in time.',
    solve: 'The message names the failing check; `samovar show OPERATION` has the last log lines.',
  },
  'pre-empted': {
    means: 'A newer commit arrived while the roll-out was waiting, so it was cut short.',
    solve: 'Nothing to do: the newer commit is rolled out next.',
  },
  'state-locked': {
    means: 'Another Samovar process works in the same state directory.',
    solve: 'The message names the owner; stop it, or let it do the work.',
  },
  'not-found': {
    means: 'A service, operation or container that was asked for does not exist.',
    solve: '`samovar status` lists the services and `samovar history` the operations.',
  },
  'no-rollback-target': {
    means: 'There is no earlier version of the service to go back to.',
    solve: '`samovar history` shows what ran before; revert the commit in Git instead.',
  },
  'forge-unreachable': {
    means: 'Gitea does not answer, or does not accept the token.',
    solve:
      'Check SAMOVAR_GITEA_URL and SAMOVAR_GITEA_TOKEN. What is to be said waits and is delivered later.',
  },
  'forge-refused': {
    means: 'Gitea refused a request; the message carries the call and its status.',
    solve: 'Run `samovar doctor`; `samovar bootstrap` gives account and token what they lack.',
  },
  'registry-unreachable': {
    means: 'A registry did not say which versions of an image there are.',
    solve:
      'Check the name of the image, the network and the login (`docker login`); it is asked again at the next sweep, or ten minutes after an event of Diun.',
  },
  'update-refused': {
    means: 'A release of Samovar itself was not taken; the one that runs was not touched.',
    solve: 'The message says what is wrong with the release, or what has to end first.',
  },
  'notify-unreachable': {
    means: 'A mail server or a webhook does not answer, or does not let Samovar in.',
    solve:
      'Check SMTP_URL, or the address in `notify`; `samovar notify test` tries all of them. What is to be told waits and is sent later.',
  },
  'notify-refused': {
    means: 'A mail server or a webhook answered, and did not take a message.',
    solve: 'Check the address in `notify` and SMTP_FROM; `samovar notify test` tries all of them.',
  },
  interrupted: {
    means: 'Samovar was told to stop and cut the current step at a safe place.',
    solve: 'Nothing to do: the next start finishes what was begun.',
  },
} as const

export type ErrorCode = keyof typeof errorTable

/** An error with a sentence for a tired person; checked by `code`, never by class or text. */
export class SamovarError extends Error {
  readonly code: ErrorCode
  /** What the reader should do next; the table's general advice when nothing better is known. */
  readonly next: string
  /** True when `next` is about this very case. */
  readonly advises: boolean

  constructor(code: ErrorCode, message: string, options: { next?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'SamovarError'
    this.code = code
    this.next = options.next ?? errorTable[code].solve
    this.advises = options.next !== undefined
  }
}

/** The code of an error that Samovar raised, or undefined for any other value. */
export function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof SamovarError ? error.code : undefined
}

/** What happened and, when the error knows one for this very case, the next step. */
export function reasonOf(error: unknown): string {
  const advice = error instanceof SamovarError && error.advises ? `; next: ${error.next}` : ''
  return sentenceOf(error) + advice
}

/** One sentence of any thrown value, without a stack. */
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
