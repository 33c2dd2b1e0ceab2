import { randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleepFor } from 'node:timers/promises'
import { inspect } from 'node:util'
import { type SimpleGit, simpleGit } from 'simple-git'
import { SamovarError } from '../errors.ts'

/** What every run of Git gets, made once per source. */
export type GitSurroundings = {
  /** Our own configuration file; it stands in for the user's and the system's. */
  configFile: string
  /** The environment to pick from: PATH, proxies, certificates, SSH. Nothing else gets through. */
  environment: Record<string, string | undefined>
  /** Fires when the process is told to stop. */
  signal: AbortSignal
}

export type GitRun = {
  /** Folder it runs in. */
  directory: string
  /** The bare repository it works on; Git never searches for one upwards. */
  repository: string
  /** Milliseconds, whatever Git is doing. */
  timeoutMs: number
  /** HTTP header that logs in; handed over in the environment only. */
  login?: string | null
  input?: string
  /** Bytes of output after which the run is given up. */
  atMost?: number
}

/** Git failed; the sentence is Git's reason, safe to show. */
export class GitFailure extends Error {
  readonly reason: 'exit' | 'timeout' | 'too-much'

  constructor(reason: GitFailure['reason'], sentence: string, cause?: unknown) {
    super(sentence, { cause })
    this.name = 'GitFailure'
    this.reason = reason
  }
}

/** Git asks SSH_ASKPASS and the terminal when it may; neither is passed on, and SSH is told not to ask. */
const passedOn = [
  ...['PATH', 'SSH_AUTH_SOCK', 'GIT_SSH_COMMAND', 'GIT_SSL_CAINFO', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
  ...['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'],
]

/** Marks the processes of one run: Git leaves git-remote-http and ssh behind when it is stopped. */
const runMark = 'SAMOVAR_GIT_RUN'

/** What simple-git lets through: each is set by us, none comes from the repository. */
const allowed = {
  allowEnvironment: [
    ...['GIT_DIR', 'GIT_CONFIG_GLOBAL', 'GIT_CONFIG_NOSYSTEM', 'GIT_TERMINAL_PROMPT', 'GIT_ALLOW_PROTOCOL'],
    ...[
      'GIT_SSH_COMMAND',
      'GIT_SSL_CAINFO',
      'GIT_CONFIG_COUNT',
      'GIT_ATTR_NOSYSTEM',
      'GIT_NO_REPLACE_OBJECTS',
    ],
    ...[0, 1].flatMap((at) => [`GIT_CONFIG_KEY_${at}`, `GIT_CONFIG_VALUE_${at}`]),
  ],
  unsafe: { allowUnsafeConfigPaths: true, allowUnsafeConfigEnvCount: true, allowUnsafeSshCommand: true },
}

/** The file behind `configFile`. Repositories of other owners are read: a path is named by the operator himself. */
export const gitConfiguration = `[safe]
\tdirectory = *
[core]
\thooksPath = /dev/null
\tfsmonitor = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[fetch]
\trecurseSubmodules = false
\tfsckObjects = false
[init]
\tdefaultBranch = main
`

/** Runs Git and answers what it printed. @throws GitFailure, or `interrupted` when the process is told to stop. */
export function git(surroundings: GitSurroundings, words: string[], run: GitRun): Promise<string> {
  return perform(surroundings, run, (prepared) => prepared.raw(words))
}

/** `git cat-file` with the bytes it printed. @throws as `git` does. */
export function gitObjects(surroundings: GitSurroundings, words: string[], run: GitRun): Promise<Buffer> {
  return perform(surroundings, run, async (prepared) => (await prepared.binaryCatFile(words)) as Buffer)
}

async function perform<T>(
  surroundings: GitSurroundings,
  run: GitRun,
  work: (prepared: SimpleGit) => Promise<T>,
): Promise<T> {
  const mark = randomUUID()
  const cut = new AbortController()
  const end = AbortSignal.any([cut.signal, surroundings.signal, AbortSignal.timeout(run.timeoutMs)])
  const prepared = simpleGit({
    baseDir: run.directory,
    abort: end,
    ...allowed,
    // Only the closed pipes prove that the output is whole; an exit may be seen before the last bytes are read.
    completion: { onClose: true, onExit: false },
    errors: (error, { exitCode, stdErr }) => error ?? failureOf(exitCode, stdErr),
    ...(run.input === undefined ? {} : { input: () => run.input }),
  })
  prepared.env(environmentOf(surroundings, run, mark))
  if (run.atMost !== undefined) prepared.outputHandler((_, stdout) => bound(stdout, run.atMost ?? 0, cut))
  const stopped = () => void killRun(mark)
  end.addEventListener('abort', stopped, { once: true })
  try {
    return await work(prepared)
  } catch (error) {
    throw translate(error, { run, tooMuch: cut.signal.aborted, stopped: surroundings.signal.aborted, end })
  } finally {
    end.removeEventListener('abort', stopped)
  }
}

/** simple-git takes an exit code without a message, or an end by a signal, for success. */
function failureOf(exitCode: number, stdErr: Buffer[]): Buffer | undefined {
  if (exitCode === 0) return undefined
  const said = Buffer.concat(stdErr)
  return said.length > 0 ? said : Buffer.from(`git ended with exit code ${exitCode} and said nothing`)
}

function bound(stdout: NodeJS.ReadableStream, atMost: number, cut: AbortController): void {
  let length = 0
  stdout.on('data', (part: Buffer) => {
    length += part.length
    if (length > atMost) cut.abort()
  })
}

function environmentOf(surroundings: GitSurroundings, run: GitRun, mark: string): Record<string, string> {
  const { environment } = surroundings
  const given = passedOn.flatMap((name) =>
    environment[name] === undefined ? [] : [[name, environment[name]]],
  )
  const login = run.login ?? null
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes -oConnectTimeout=20',
    ...Object.fromEntries(given),
    // No .netrc and no settings of the user; SSH finds its keys through the user database.
    HOME: run.directory,
    LC_ALL: 'C',
    GIT_DIR: run.repository,
    GIT_CONFIG_GLOBAL: surroundings.configFile,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'file:http:https:ssh',
    [runMark]: mark,
    ...(login === null ? {} : loginConfiguration(login)),
    // simple-git prints the environment when DEBUG is set; the symbol survives its copies.
    [inspect.custom]: () => '***',
  } as Record<string, string>
}

/**
 * A redirect would carry the header on to wherever it leads, so with a login none is followed. The key names no host:
 * simple-git refuses keys that contain the word `alias`, and some host does.
 */
function loginConfiguration(login: string): Record<string, string> {
  return {
    GIT_CONFIG_COUNT: '2',
    GIT_CONFIG_KEY_0: 'http.extraHeader',
    GIT_CONFIG_VALUE_0: login,
    GIT_CONFIG_KEY_1: 'http.followRedirects',
    GIT_CONFIG_VALUE_1: 'false',
  }
}

/**
 * Ends what a cut run left behind, found by its mark in /proc. simple-git sends SIGINT to `git` alone (which removes its
 * lock files on it); git-remote-http goes on for ever when its server hangs (seen with Git 2.39).
 */
async function killRun(mark: string): Promise<void> {
  await sleepFor(300)
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue
    const environment = await readFile(`/proc/${name}/environ`, 'latin1').catch(() => '')
    if (!environment.includes(`${runMark}=${mark}`)) continue
    try {
      process.kill(Number(name), 'SIGKILL')
    } catch {
      // It ended by itself meanwhile.
    }
  }
}

type Ended = { run: GitRun; tooMuch: boolean; stopped: boolean; end: AbortSignal }

function translate(error: unknown, { run, tooMuch, stopped, end }: Ended): Error {
  if (stopped) return new SamovarError('interrupted', 'Git was cut short since Samovar is told to stop')
  if (tooMuch) return new GitFailure('too-much', `git printed more than ${run.atMost} bytes`)
  if (end.aborted) return new GitFailure('timeout', `no answer within ${Math.round(run.timeoutMs / 1000)} s`)
  return new GitFailure(
    'exit',
    gitReason(error instanceof Error ? error.message : String(error), run.login ?? null),
  )
}

/** Git's own words without its prefixes and its advice. */
function gitReason(said: string, login: string | null): string {
  if (/could not read (Username|Password)|Authentication failed/.test(said)) {
    return login === null ? 'it asks for a login and no token is set' : 'the token was refused'
  }
  const lines = said
    .split(/[\r\n]+/)
    .map((line) => line.replace(/^(fatal|error|remote|warning):\s*/, '').trim())
    .filter(
      (line) => line !== '' && !/^(hint:|Please make sure|and the repository exists|Warning:)/.test(line),
    )
  const text = withoutLogin([...new Set(lines)].join('; '), login)
  return text.length <= 400 ? text : `${text.slice(0, 397)}...`
}

function withoutLogin(text: string, login: string | null): string {
  const shown = text.replaceAll(/:\/\/[^/\s@]+@/g, '://***@')
  if (login === null) return shown
  const encoded = login.replace(/^.* /, '')
  const password = Buffer.from(encoded, 'base64')
    .toString()
    .replace(/^[^:]*:/, '')
  return [encoded, password]
    .filter((secret) => secret !== '')
    .reduce((rest, secret) => rest.replaceAll(secret, '***'), shown)
}
