import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { mustRun, run, works } from './process.ts'

export type Say = (line: string) => void

/**
 * A Debian package that is needed because of one program in it, or of something else that `isThere` looks for.
 * `program` is the name for people then.
 */
export type Needed = { package: string; program: string; why: string; isThere?: () => Promise<boolean> }

const programFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** The full path of a program, also where only root's PATH would find it; null when there is none. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...programFolders]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null
}

/**
 * Makes the packages present: installs what is missing by apt-get and says so. Throws a sentence that names what
 * is missing and why when this is not root, or not Debian or Ubuntu.
 */
export async function needPackages(needed: Needed[], say: Say): Promise<void> {
  const there = await Promise.all(
    needed.map((one) => one.isThere?.() ?? Promise.resolve(findProgram(one.program) !== null)),
  )
  const missing = needed.filter((_, index) => there[index] === false)
  if (missing.length === 0) return
  const names = missing.map((one) => one.package)
  const reasons = missing
    .map((one) => `${one.program} (${one.why}; Debian package ${one.package})`)
    .join(', ')
  if (process.getuid?.() !== 0 || findProgram('apt-get') === null) {
    throw new Error(
      `Missing on this machine: ${reasons}. Install it, or run this as root on Debian or Ubuntu.`,
    )
  }
  say(`installing Debian packages: ${names.join(' ')}`)
  const install = [
    'install',
    '-y',
    '-q',
    '--no-install-recommends',
    '-o',
    'DPkg::Lock::Timeout=300',
    ...names,
  ]
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const first = await run('apt-get', install, { env, timeoutMs: 600_000 })
  if (first.exitCode === 0) return
  say('apt-get update (the package lists are missing or too old)')
  await mustRun('apt-get', ['update', '-q'], { env })
  await mustRun('apt-get', install, { env, timeoutMs: 600_000 })
}

/** The version apt would install of a package, or null when it knows none. */
export async function candidateVersion(name: string): Promise<string | null> {
  if (!(await works('apt-cache', ['--version']))) return null
  const { stdout } = await run('apt-cache', ['policy', name])
  const version = /Candidate: (\S+)/.exec(stdout)?.[1]
  return version === undefined || version === '(none)' ? null : version
}

/** Downloads packages (not their dependencies) into a folder and unpacks them below `root`; installs nothing. */
export async function unpackPackages(
  names: string[],
  folder: string,
  root: string,
  aptOptions: string[] = [],
): Promise<void> {
  await mustRun('apt-get', [...aptOptions, '-q', '-o', 'APT::Sandbox::User=root', 'download', ...names], {
    cwd: folder,
  })
  for (const name of names) {
    await mustRun('sh', ['-c', 'dpkg -x "$1"_*.deb "$2"', 'sh', name, root], { cwd: folder })
  }
}

/**
 * Packages and all the library packages they need, from apt's own records.
 *
 * @param options.without packages to leave out, with what only they need
 * @param options.needs which packages are followed; by default libraries only
 */
export async function withLibraries(
  names: string[],
  options: { apt?: string[]; without?: string[]; needs?: RegExp } = {},
): Promise<string[]> {
  const follow = options.needs ?? /^(?:lib|zlib)/
  const only = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances']
  const { stdout, exitCode } = await run('apt-cache', [
    ...(options.apt ?? []),
    ...['depends', '--recurse', ...only.map((relation) => `--no-${relation}`)],
    ...names,
  ])
  if (exitCode !== 0 || stdout === '') {
    throw new Error(
      `apt does not know the packages ${names.join(', ')}, from which a test image is made. On Debian or Ubuntu: \`apt-get update\`.`,
    )
  }
  const needs = new Map<string, string[]>()
  for (const [, name = '', lines = ''] of stdout.matchAll(/^(\S+)\n((?:[ |].*\n?)*)/gm)) {
    const all = [...lines.matchAll(/Depends: ([^<\s]\S+)$/gm)].map(([, dependency = '']) => dependency)
    needs.set(
      name,
      all.filter((dependency) => follow.test(dependency)),
    )
  }
  const known = new Set(names)
  const left = new Set(['libc-bin', ...(options.without ?? [])])
  for (const name of known) {
    for (const dependency of needs.get(name) ?? []) if (!left.has(dependency)) known.add(dependency)
  }
  return [...known]
}

/**
 * Options that let apt look at one Debian suite and at nothing else, whatever this machine runs; downloads the
 * suite's list (a few seconds).
 *
 * @param folder where the list is kept
 */
export async function onlySuite(suite: string, folder: string): Promise<string[]> {
  const list = join(folder, 'sources.list')
  await mkdir(join(folder, 'lists', 'partial'), { recursive: true })
  await mkdir(join(folder, 'cache', 'archives', 'partial'), { recursive: true })
  await writeFile(list, `deb ${await debianMirror()} ${suite} main\n`)
  const settings = [
    ...[`Dir::Etc::sourcelist=${list}`, 'Dir::Etc::sourceparts=-', `Dir::State::lists=${folder}/lists`],
    // What is installed here would else count as the version to take.
    ...['Dir::State::status=/dev/null', `Dir::Cache=${folder}/cache`],
    ...['APT::Sandbox::User=root', 'Acquire::Languages=none'],
  ]
  const options = settings.flatMap((setting) => ['-o', setting])
  await mustRun('apt-get', [...options, '-q', 'update'])
  return options
}

/** The mirror this machine uses for Debian, so that a machine behind a mirror of its own works too. */
async function debianMirror(): Promise<string> {
  const { stdout } = await run('apt-get', [
    'indextargets',
    '--format',
    '$(ORIGIN) $(LABEL) $(REPO_URI)',
    'Created-By: Packages',
  ])
  return /^Debian Debian (\S+)$/m.exec(stdout)?.[1] ?? 'http://deb.debian.org/debian'
}
