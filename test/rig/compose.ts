import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withMachineLock } from './machine-lock.ts'
import { candidateVersion, findProgram, onlySuite, type Say, unpackPackages } from './packages.ts'
import { mustRun, run, works } from './process.ts'

/** Where Compose v2 is. Empty values: the machine's own is used as it is. */
export type TestCompose = {
  /** Folder to put first on PATH: it has `docker-compose`. */
  bin: string | null
  /** For DOCKER_CONFIG, so that `docker compose` finds the plugin without a file in the user's home. */
  dockerConfig: string | null
  version: string
}

/** Compose v2 as `docker compose` and as `docker-compose`; fetched into the cache folder where it is missing. */
export async function findCompose(cacheFolder: string, say: Say): Promise<TestCompose> {
  const plugin = await versionOf('docker', ['compose', 'version', '--short'])
  const alone = await versionOf('docker-compose', ['version', '--short'])
  if (plugin !== null && alone !== null) return { bin: null, dockerConfig: null, version: plugin }
  const folder = join(cacheFolder, 'compose')
  return withMachineLock(join(folder, 'lock.db'), async () => {
    const bin = join(folder, 'bin')
    const program = join(bin, 'docker-compose')
    await mkdir(bin, { recursive: true })
    if (plugin !== null) {
      await writeFile(program, '#!/bin/sh\nexec docker compose "$@"\n', { mode: 0o755 })
      return { bin, dockerConfig: null, version: plugin }
    }
    const ownProgram = alone === null ? null : findProgram('docker-compose')
    if (ownProgram === null && (await versionOf(program, ['version', '--short'])) === null) {
      await fetchCompose(folder, program, say)
    }
    const plugins = join(folder, 'docker-config', 'cli-plugins')
    await mkdir(plugins, { recursive: true })
    await rm(join(plugins, 'docker-compose'), { force: true })
    await symlink(ownProgram ?? program, join(plugins, 'docker-compose'))
    const version = await mustRun(ownProgram ?? program, ['version', '--short'])
    return {
      bin: ownProgram === null ? bin : null,
      dockerConfig: join(folder, 'docker-config'),
      version: version.trim(),
    }
  })
}

/** The version when the command is a Compose of version 2 or later. */
async function versionOf(command: string, args: string[]): Promise<string | null> {
  const finished = await run(command, args, { timeoutMs: 20_000 }).catch(() => null)
  const version = finished?.exitCode === 0 ? finished.stdout.trim().replace(/^v/, '') : ''
  return Number.parseInt(version, 10) >= 2 ? version : null
}

async function fetchCompose(folder: string, program: string, say: Say): Promise<void> {
  if (!(await works('apt-get', ['--version']))) {
    throw new Error(
      'Compose v2 is missing, and without apt-get it cannot be fetched here. Install the Docker Compose plugin, so that `docker compose version` answers.',
    )
  }
  const scratch = await mkdtemp(join(folder, 'fetch-'))
  try {
    await unpackCompose(scratch, say)
    const places = ['usr/libexec/docker/cli-plugins', 'usr/lib/docker/cli-plugins', 'usr/bin']
    const unpacked = places.map((place) => join(scratch, 'root', place, 'docker-compose')).find(existsSync)
    if (unpacked === undefined) throw new Error('The package with Compose v2 has no docker-compose in it.')
    await copyFile(unpacked, `${program}.new`)
    await chmod(`${program}.new`, 0o755)
    await rename(`${program}.new`, program)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** From the machine's own package lists when they have a version 2; else Debian trixie's, which needs libc 2.34. */
async function unpackCompose(scratch: string, say: Say): Promise<void> {
  await mkdir(join(scratch, 'root'))
  for (const name of ['docker-compose-v2', 'docker-compose']) {
    const version = (await candidateVersion(name)) ?? ''
    if (Number.parseInt(version.replace(/^\d+:/, ''), 10) < 2 || version === '') continue
    say(`downloading Compose ${version} (package ${name}; kept in the cache, not installed)`)
    return unpackPackages([name], scratch, join(scratch, 'root'))
  }
  say("downloading Compose v2 from Debian trixie's docker-compose (kept in the cache, not installed)")
  const options = await onlySuite('trixie', scratch)
  await unpackPackages(['docker-compose'], scratch, join(scratch, 'root'), options)
}
