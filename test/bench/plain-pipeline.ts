import { spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
import type { Server, Volume } from '../backup/at-scale.ts'
import { findProgram, needPackages } from '../rig/packages.ts'
import { mustRun } from '../rig/process.ts'
import type { RigInUse } from '../rig/use-rig.ts'

/**
 * What an administrator would type: the same producers, packed by zstd's own program at the level that Samovar uses.
 * Nothing is hashed, counted or made durable.
 */
export type Plain = {
  dump(server: Server, file: string): Promise<void>
  /** An empty one, for `load`. */
  newDatabase(server: Server): Promise<void>
  load(server: Server, file: string): Promise<void>
  pack(volume: Volume, file: string): Promise<void>
  unpack(volume: Volume, file: string): Promise<void>
  /** As `pack` and `unpack`, with the engine's own tar instead of the one of this machine. */
  packByEngine(volume: Volume, file: string): Promise<void>
  unpackByEngine(volume: Volume, file: string): Promise<void>
}

/** @throws Error where the folders of the engine's volumes cannot be reached: another machine, or not root */
export async function plainPipeline(rig: RigInUse): Promise<Plain> {
  await needPackages(
    [
      { package: 'zstd', program: 'zstd', why: 'the plain pipeline that Samovar is compared with' },
      { package: 'tar', program: 'tar', why: 'the plain pipeline that Samovar is compared with' },
    ],
    (line) => console.error(`rig: ${line}`),
  )
  const zstd = findProgram('zstd')
  const folderOf = async (volume: Volume): Promise<string> => {
    const { Mountpoint } = await rig.docker.getVolume(volume.name).inspect()
    await access(Mountpoint)
    return Mountpoint
  }
  return {
    dump: ({ container }, file) =>
      shell(`docker exec "$1" pg_dump -U postgres -Fc -Z 0 bench | "$2" -q -1 -f -o "$3"`, [
        container,
        zstd,
        file,
      ]),
    newDatabase: async ({ container }) => {
      const psql = ['exec', container, 'psql', '-q', '-X', '-U', 'postgres', '-c']
      await mustRun('docker', [...psql, 'DROP DATABASE IF EXISTS plain'])
      await mustRun('docker', [...psql, 'CREATE DATABASE plain'])
    },
    load: async ({ container }, file) =>
      shell(`"$2" -q -d -c "$3" | docker exec -i "$1" pg_restore -U postgres -1 -e -d plain`, [
        container,
        zstd,
        file,
      ]),
    pack: async (volume, file) =>
      shell(`tar -C "$1" --numeric-owner -cf - . | "$2" -q -1 -f -o "$3"`, [
        await folderOf(volume),
        zstd,
        file,
      ]),
    unpack: async (volume, file) =>
      shell(`"$2" -q -d -c "$3" | tar -C "$1" --numeric-owner --warning=no-timestamp -xpf -`, [
        await folderOf(volume),
        zstd,
        file,
      ]),
    packByEngine: ({ container, folder }, file) =>
      shell(`docker cp "$1:$4/." - | "$2" -q -1 -f -o "$3"`, [container, zstd, file, folder]),
    unpackByEngine: ({ container, folder }, file) =>
      shell(`"$2" -q -d -c "$3" | docker cp -a - "$1:$4"`, [container, zstd, file, folder]),
  }
}

function shell(command: string, values: (string | null)[]): Promise<void> {
  const args = ['-euo', 'pipefail', '-c', command, 'sh', ...values.map((each) => each ?? '')]
  const child = spawn('bash', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`\`${command}\` ended with exit code ${code}`)),
    )
  })
}
