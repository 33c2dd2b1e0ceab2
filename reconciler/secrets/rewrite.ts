import { access } from 'node:fs/promises'
import { targetOf } from '../compose/container-mounts.ts'
import type { ComposeModel } from '../compose/model.ts'
import { fileReferences, keyOfFile, type MountedSource, mountedSources } from '../compose/mounted-sources.ts'
import type { Running } from '../engine/engine.ts'
import { codeOf } from '../errors.ts'
import type { Loaded } from '../load.ts'
import type { Parts } from '../parts.ts'
import { lacksSecret } from './missing.ts'
import { writeSecretAt } from './secret-files.ts'

/**
 * A tmpfs is empty after a reboot. What the commit in force asks for was written when its targets were made; this is for
 * containers that mount an earlier value, which nobody knows any more (set aside, or waiting for their replacement): they
 * are given the present one in its place, since without any they could not even be started.
 *
 * @param about.running every container of the project
 */
export async function rewriteMounted(
  { engine, settings }: Pick<Parts, 'engine' | 'settings'>,
  about: { loaded: Loaded; running: Running[] },
): Promise<void> {
  const { secretsDir } = settings
  for (const each of about.running) {
    const paths = each.mounts.filter((path) => path.startsWith(`${secretsDir}/`))
    const lost = await withoutFile(paths)
    if (lost.length === 0) continue
    const seen = await engine.inspect(each.instance).catch((error: unknown) => {
      if (codeOf(error) === 'not-found') return null
      throw error
    })
    const mounts = (seen?.configuration.HostConfig['Mounts'] ?? []) as { Source?: string; Target?: string }[]
    const sources = sourcesByTarget(about.loaded.model, each.service)
    for (const { Source = '', Target = '' } of mounts) {
      const source = sources.get(Target)
      if (!lost.includes(Source) || source === undefined) continue
      if (!lacksSecret(source, about.loaded.resolved.missing)) await writeSecretAt(Source, source, secretsDir)
    }
  }
}

async function withoutFile(paths: string[]): Promise<string[]> {
  const lost: string[] = []
  for (const path of paths)
    await access(path).catch(() => {
      lost.push(path)
    })
  return lost
}

/** The texts that a service mounts now, by where it sees them. */
function sourcesByTarget(model: ComposeModel, service: string): Map<string, MountedSource> {
  const body = model.services[service]
  if (body === undefined) return new Map()
  const sources = mountedSources(model, service).filter(({ from }) => 'content' in from)
  const targets = (['secret', 'config'] as const).flatMap((kind) =>
    fileReferences(model, body, kind).flatMap((reference): [string, MountedSource][] => {
      const source = sources.find(({ key }) => key === keyOfFile(kind, reference))
      const base = kind === 'secret' ? '/run/secrets/' : '/'
      return source === undefined ? [] : [[targetOf(reference, base), source]]
    }),
  )
  return new Map(targets)
}
