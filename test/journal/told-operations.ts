import type {
  DataIntent,
  Operation,
  OperationKind,
  OperationResult,
} from '../../reconciler/journal/operation.ts'
import { type Journal, openJournal } from '../../reconciler/journal.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'

/** A journal in a folder of its own. */
export async function openedJournal(
  purpose: string,
): Promise<{ journal: Journal; folder: string } & AsyncDisposable> {
  const folder: TempFolder = await tempFolder(purpose)
  const journal = openJournal(folder.path)
  return {
    journal,
    folder: folder.path,
    async [Symbol.asyncDispose]() {
      journal.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

export type Told = {
  kind?: OperationKind
  result?: OperationResult
  steps?: [name: string, result: 'running' | 'done' | 'failed' | 'cut'][]
  at?: number
  level?: 0 | 1 | 2
  /** Id of the backup that it took, verified or restored. */
  backup?: string
  reason?: string
  service?: string
  data?: Partial<DataIntent>
}

export const dataOf = (service: string, other: Partial<DataIntent> = {}): DataIntent => ({
  host: 'git.example.com',
  class: 'scheduled',
  owners: [service],
  databases: [],
  volumes: [],
  while: 'stopped',
  stop: [service],
  stopAfterDumps: [],
  stores: [],
  restore: true,
  failed: 'drop',
  stopped: [],
  paused: [],
  eraser: null,
  backup: null,
  lostMs: null,
  ...other,
})

/** Writes an operation into the journal as if it had happened; one that took a backup is recorded with it. */
export function told(journal: Journal, about: Told): Operation {
  const { kind = 'backup', at = 1_000, service = 'gitea', result = 'applied' } = about
  const intent = {
    members: [],
    quiesced: [],
    health: { within: 1, steady: 0, soak: 0, checks: [] },
    oldHealth: null,
    configuration: '',
    reasons: [],
    drift: false,
    data: dataOf(service, about.data),
    ...(about.level !== undefined && { level: about.level }),
  }
  const begun = journal.beginOperation({ service, kind, commit: 'c0ffee', from: null, to: null, intent }, at)
  for (const [name, ended] of about.steps ?? []) {
    const sequence = journal.beginStep(begun, name, at)
    if (ended === 'cut') journal.markCut(begun.id)
    else if (ended !== 'running') journal.endStep(begun, sequence, { ms: 1, result: ended, detail: '' })
  }
  const { backup = null, reason = '' } = about
  const finishedAt = result === 'running' ? null : at + 5
  const operation: Operation = { ...begun, result, finishedAt, backup, reason }
  journal.saveOperation(operation)
  if (backup !== null && kind !== 'verify')
    journal.recordBackup({
      id: backup,
      class: 'scheduled',
      services: [service],
      operation: operation.id,
      at,
      bytes: 10,
      plainBytes: 20,
      ms: 3,
    })
  return operation
}
