import type { Manifest } from './backup/manifest.ts'
import type { Loaded } from './load.ts'
import type { Parts } from './parts.ts'
import { shortImage, type Target } from './plan/target.ts'

/**
 * The commit of a backup may want a version that had been reverted when the backup was taken, or one that still waited
 * for its window. On a fresh machine the data must meet the version it is of: the other one is quarantined, and what
 * ran counts as what held last, so that it is what is rolled out.
 */
export function rememberWhatRan(
  parts: Pick<Parts, 'journal' | 'now'>,
  loaded: Loaded,
  { targets, manifest }: { targets: Target[]; manifest: Manifest },
): void {
  for (const target of targets) {
    const ran = manifest.images[target.service]
    const policy = loaded.state.services[target.service]
    if (ran?.commit === undefined || policy === undefined || ran.digest === target.image.digest) continue
    const { commit, ...image } = ran
    const operation = parts.journal.beginOperation(
      {
        service: target.service,
        kind: 'create',
        commit,
        from: null,
        to: image,
        intent: {
          members: [],
          quiesced: [],
          health: policy.health,
          oldHealth: null,
          configuration: '',
          reasons: [{ field: 'restore', before: 'none', after: `${shortImage(image)} of ${manifest.id}` }],
          drift: false,
        },
      },
      parts.now(),
    )
    parts.journal.saveOperation({
      ...operation,
      result: 'applied',
      decision: 'keep',
      finishedAt: parts.now(),
      reason: `it ran when backup ${manifest.id} was taken`,
    })
    parts.journal.quarantine({
      service: target.service,
      digest: target.image.digest,
      configuration: target.configuration,
      operation: operation.id,
      reason: `it did not run when backup ${manifest.id} was taken`,
      at: parts.now(),
    })
  }
}
