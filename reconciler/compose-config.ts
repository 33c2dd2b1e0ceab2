import { execFile } from 'node:child_process'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { type ComposeSource, findingAt, locate } from './compose/compose-source.ts'
import { refusals } from './compose/judgement.ts'
import { type ComposeModel, documentOf, modelOf } from './compose/model.ts'
import { withContainers } from './compose/rendered-model.ts'
import { sharedServices } from './compose/service-facts.ts'
import { readSources } from './compose-sources.ts'
import { type Finding, findingLine } from './desired-state.ts'
import { SamovarError } from './errors.ts'

/** How Compose is called, and its version such as `2.26.1`. */
export type ComposeCommand = { command: [string, ...string[]]; version: string }

/** What is wrong with the Compose files of a commit, place by place. */
export class ComposeFindings extends SamovarError {
  readonly findings: Finding[]

  constructor(findings: Finding[], options: { cause?: unknown } = {}) {
    super('compose-refused', findings.map(findingLine).join('\n'), options)
    this.name = 'ComposeFindings'
    this.findings = findings
  }
}

const timeoutMs = 30_000
const mostOutput = 16 * 1024 * 1024
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Names that would change what Compose and its libraries do, beside what the Compose files use them for. */
const reservedNames =
  /^(PATH|HOME|PWD|TMPDIR|GODEBUG|GOMAXPROCS|GOTRACEBACK|(COMPOSE|DOCKER|LD|OTEL|XDG|BUILDX|BUILDKIT|SSL_CERT)_.*)$/

type Outcome = { failed: boolean; stdout: string; stderr: string; cause?: unknown }

/** Runs without a shell, with that environment and no other, within 30 s and 16 MiB of output. */
async function run(command: string[], environment: Record<string, string>, folder: string): Promise<Outcome> {
  const [program = '', ...rest] = command
  const options = {
    env: environment,
    cwd: folder,
    timeout: timeoutMs,
    maxBuffer: mostOutput,
    killSignal: 'SIGKILL' as const,
  }
  return await new Promise((done) => {
    execFile(program, rest, options, (cause, stdout, stderr) => {
      done({ failed: cause !== null, stdout, stderr, cause })
    })
  })
}

/** Nothing of this process's own environment reaches Compose. */
function bareEnvironment([program]: [string, ...string[]]): Record<string, string> {
  return { PATH: `${dirname(program)}:${defaultPath}`, HOME: '/nonexistent' }
}

/** Absolute path of a program on the PATH of this process, or null. */
async function whereIs(program: string): Promise<string | null> {
  return await new Promise((done) => {
    execFile('sh', ['-c', 'command -v "$1"', 'sh', program], (_error, stdout) => {
      done(isAbsolute(stdout.trim()) ? stdout.trim() : null)
    })
  })
}

/**
 * Finds Compose v2: the plugin of the docker command, the command of its own, the plugin in the home folder.
 * Throws `compose-unavailable`.
 */
export async function findCompose(): Promise<ComposeCommand> {
  const candidates: [string, ...string[]][] = [
    ['docker', 'compose'],
    ['docker-compose'],
    [join(homedir(), '.docker/cli-plugins/docker-compose')],
  ]
  const tooOld: string[] = []
  for (const [program, ...words] of candidates) {
    const path = await whereIs(program)
    if (path === null) continue
    const command: [string, ...string[]] = [path, ...words]
    const { failed, stdout } = await run([...command, 'version'], bareEnvironment(command), '/')
    const version = failed ? undefined : /v?(\d+\.\d+\.\d+)/.exec(stdout)?.[1]
    if (version === undefined) continue
    if (Number.parseInt(version, 10) >= 2) return { command, version }
    tooOld.push(`${[program, ...words].join(' ')} is version ${version}`)
  }
  const seen = tooOld.length > 0 ? `: ${tooOld.join(', ')}` : ''
  throw new SamovarError('compose-unavailable', `Compose v2 was not found${seen}`)
}

/** A value may be part of any sentence, so every occurrence goes; very short ones only where they stand alone. */
function withoutValues(text: string, variables: Record<string, string>): string {
  const values = Object.values(variables).filter((value) => value !== '')
  let masked = text
  for (const value of values.sort((a, b) => b.length - a.length)) {
    const literal = value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    const pattern = value.length > 3 ? literal : `(?<!\\w)${literal}(?!\\w)`
    masked = masked.replace(new RegExp(pattern, 'g'), '***')
  }
  return masked
}

function positioned(sources: ComposeSource[], path: string[], message: string): Finding {
  const key = path.join('.')
  const place = locate(sources, path)
  if (place) return findingAt(place.source, place.node, key, message)
  return { file: sources[0]?.file ?? 'compose', line: 1, column: 1, key: key || 'compose', message }
}

/** Compose's own words about what it refuses, as a finding at the service it names. */
function complaint(outcome: Outcome, sources: ComposeSource[], directory: string): Finding {
  const lines = outcome.stderr
    .split('\n')
    .filter((line) => line.trim() && !/level=(warning|info|debug)/.test(line))
  const said = lines.join(' ').replaceAll(`${directory}/`, '') || 'Compose ended without a word'
  const path = /\b(services|networks|volumes|secrets|configs)\.([\w.-]+)/.exec(said)?.[0]
  const named = path ?? /service "([\w.-]+)"/.exec(said)?.[1]?.replace(/^/, 'services.')
  return positioned(sources, named?.replace(/\.$/, '').split('.') ?? [], said.slice(0, 2000))
}

function parsed(stdout: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(stdout)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

/** A secret from a variable becomes its text, since nothing outside of Samovar has the variable. */
function withTexts(model: ComposeModel, variables: Record<string, string>): ComposeModel {
  for (const file of [...Object.values(model.secrets), ...Object.values(model.configs)]) {
    if (file.environment === undefined) continue
    file.content = variables[file.environment] ?? ''
    delete file.environment
  }
  return model
}

function reserved(variables: Record<string, string>, file: string): Finding[] {
  const names = Object.keys(variables).filter((name) => reservedNames.test(name))
  const message = 'this name would change Compose itself, expected another name in variables of host.yaml'
  return names.map((name) => ({ file, line: 1, column: 1, key: `variables.${name}`, message }))
}

export type ReadOptions = {
  /** Checkout root, absolute. */
  directory: string
  /** Relative to the checkout; the folder of the first is what relative paths are relative to. */
  files: string[]
  project: string
  /** All that `${...}` may use. Values never appear in an error. */
  variables: Record<string, string>
}

/**
 * The canonical model of the Compose files of one commit, all profiles included. Compose runs with nothing but PATH
 * and the variables in its environment. Throws ComposeFindings (`compose-refused`) with file, line and column of
 * everything that is refused, by Samovar before or after Compose, or by Compose.
 */
export async function readComposeModel(compose: ComposeCommand, options: ReadOptions): Promise<ComposeModel> {
  const { files, project, variables } = options
  const { sources, findings } = await readSources(options)
  findings.push(...reserved(variables, files[0] ?? 'compose'))
  if (findings.length > 0) throw new ComposeFindings(findings)
  const directory = await realpath(options.directory)
  const paths = files.map((file) => resolve(directory, file))
  const folder = dirname(paths[0] ?? directory)
  const command = [
    ...compose.command,
    ...paths.flatMap((path) => ['-f', path]),
    ...[
      '--project-name',
      project,
      '--project-directory',
      folder,
      '--profile',
      '*',
      '--env-file',
      '/dev/null',
    ],
    ...['config', '--format', 'json'],
  ]
  const outcome = await run(command, { ...variables, ...bareEnvironment(compose.command) }, folder)
  const printed = outcome.failed ? null : parsed(outcome.stdout)
  if (printed === null) {
    const finding = complaint(outcome, sources, directory)
    throw new ComposeFindings([{ ...finding, message: withoutValues(finding.message, variables) }])
  }
  const model = withTexts(
    modelOf(printed, { project, composeVersion: compose.version, directory }),
    variables,
  )
  const refused = refusals(model).map(({ path, reason }) => positioned(sources, path, reason))
  if (refused.length > 0) throw new ComposeFindings(refused)
  return model
}

async function hashesOf(compose: ComposeCommand, file: string): Promise<Record<string, string>> {
  const command = [
    ...compose.command,
    '-f',
    file,
    '--profile',
    '*',
    '--env-file',
    '/dev/null',
    'config',
    '--hash',
    '*',
  ]
  const { failed, stdout, stderr, cause } = await run(
    command,
    bareEnvironment(compose.command),
    dirname(file),
  )
  if (failed) {
    const lastLine = stderr.trim().split('\n').at(-1) ?? ''
    throw new SamovarError('compose-refused', `Compose cannot read the rendered model ${file}: ${lastLine}`, {
      cause,
    })
  }
  const pairs = stdout
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => line.trim().split(/\s+/))
  return Object.fromEntries(pairs.map(([service = '', hash = '']) => [service, hash]))
}

/**
 * Compose's own hash of each service of the rendered model: with it as label, Compose takes our container for its
 * own. For a service that shares the namespace of another, Compose puts that container's id in first: such a
 * service has a hash only when `containers` names them all, and is left out otherwise.
 * @param renderedFile where documentOf(renderedModel(...)) was written
 * @param shared the rendered model, and by service the id of its container
 */
export async function configHashes(
  compose: ComposeCommand,
  renderedFile: string,
  shared: { model: ComposeModel; containers: Record<string, string> },
): Promise<Record<string, string>> {
  const { model, containers } = shared
  const sharing = Object.keys(model.services).filter((service) => sharedServices(model, service).length > 0)
  if (sharing.length === 0) return await hashesOf(compose, renderedFile)
  const folder = await mkdtemp(join(tmpdir(), 'samovar-hashes-'))
  try {
    const file = join(folder, 'compose.json')
    await writeFile(file, JSON.stringify(documentOf(withContainers(model, containers))), { mode: 0o600 })
    const hashes = await hashesOf(compose, file)
    for (const service of sharing) {
      const known = sharedServices(model, service).every((name) => containers[name] !== undefined)
      if (!known) delete hashes[service]
    }
    return hashes
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
