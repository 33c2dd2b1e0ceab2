import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { mustRun, run, works } from './process.ts'

export type Say = (line: string) => void

/** A Debian package that is needed because of one program in it. */
export type Needed = { package: string; program: string; why: string }

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
  const missing = needed.filter((one) => findProgram(one.program) === null)
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
