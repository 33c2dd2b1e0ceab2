import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { UpdateRecord } from '../../reconciler/self-update/record.ts'
import { lookAtService } from '../../reconciler/self-update/service.ts'
import { type Finished, mustRun, run } from '../rig/process.ts'
import { freePort } from '../rig/registry.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'
import { type Made, makeRelease } from './releases.ts'
import { startSupervisor } from './supervisor.ts'

/** An installation of version 1.0.0 that runs, and a place where releases are built. */
export async function installed(first: Omit<Made, 'version'> = {}) {
  const folder = await tempFolder('self-update')
  const [root, stateDir] = [join(folder.path, 'opt'), join(folder.path, 'state')]
  makeRelease(join(root, 'releases/1.0.0'), { version: '1.0.0', ...first })
  symlinkSync('releases/1.0.0', join(root, 'current'))
  const port = await freePort()
  const environment = { PATH: process.env['PATH'] ?? '', PORT: String(port) }
  const url = `http://127.0.0.1:${port}`
  const supervisor = await startSupervisor(root, { environment, url })
  const place = {
    root,
    stateDir,
    url,
    restart: supervisor.restartCommand,
    withinMs: 30_000,
    backWithinMs: 30_000,
    steadyMs: 100,
    waitMs: 0,
  }
  await supervisor.start()
  await until('1.0.0 runs', async () => (await lookAtService(url)).version === '1.0.0', { withinMs: 10_000 })
  const updater = async (
    about: { release?: string; sha256?: string; killAt?: number; back?: boolean } & Partial<typeof place>,
  ): Promise<Finished & { moments: string[] }> => {
    const { release = '', sha256 = null, killAt = null, back = false, ...other } = about
    const told = { place: { ...place, ...other }, release, sha256, killAt, back }
    const finished = await run(process.execPath, ['test/self-update/updater.ts', JSON.stringify(told)], {
      env: environment,
      timeoutMs: 60_000,
    })
    return { ...finished, moments: finished.stderr.split('\n').filter((line) => line !== '') }
  }
  return {
    ...place,
    place,
    supervisor,
    build: (made: Made) => makeRelease(join(folder.path, 'built', made.version), made),
    updater,
    /** Runs to its end, and answers how it ended. */
    update: async (about: Parameters<typeof updater>[0]) =>
      JSON.parse((await updater(about)).stdout) as UpdateRecord & { error?: string; message?: string },
    sight: () => lookAtService(url),
    link: (name: string) => (existsSync(join(root, name)) ? readlinkSync(join(root, name)) : null),
    folder: folder.path,
    async [Symbol.asyncDispose]() {
      await supervisor[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

export type Installed = Awaited<ReturnType<typeof installed>>

export const tarOf = async (host: Installed, made: Made): Promise<{ release: string; sha256: string }> => {
  const file = join(host.folder, `${made.version}.tar.gz`)
  await mustRun('tar', ['-czf', file, '-C', join(host.build(made), '..'), made.version])
  return { release: file, sha256: createHash('sha256').update(readFileSync(file)).digest('hex') }
}
