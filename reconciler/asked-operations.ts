import type { VerifyLevel } from './backup/manifest.ts'
import { backUpServices, restoreBackup, verifyBackups } from './data-operations.ts'
import { runJobNamed } from './jobs.ts'
import type { Operation } from './journal/operation.ts'
import type { Request } from './journal/requests.ts'
import type { Memory } from './look.ts'
import type { Parts } from './parts.ts'
import { rollBack } from './roll-back.ts'
import type { PassOptions } from './work.ts'

/** What stands in the argument of a request, by its kind. */
export type RequestArguments = {
  backup: { services: string[] }
  verify: { backup: string | null; level: VerifyLevel }
  restore: { backup: string; service: string | null; safety: boolean }
  job: { job: string }
}

/** What a person asked the daemon to do by itself, outside of a pass. */
export async function askedOperations(
  parts: Parts,
  memory: Memory,
  { request, options }: { request: Request; options: PassOptions },
): Promise<Operation[]> {
  const asked = { parts, memory, options }
  const { kind, service } = request
  const argument = JSON.parse(request.argument ?? 'null') as unknown
  switch (kind) {
    case 'rollback':
      return [await rollBack(parts, options, service ?? '')]
    case 'backup':
      return backUpServices(asked, (argument as RequestArguments['backup']).services, 'manual')
    case 'verify': {
      const { backup, level } = argument as RequestArguments['verify']
      return verifyBackups(asked, backup, level)
    }
    case 'restore': {
      const { backup, ...wanted } = argument as RequestArguments['restore']
      return [await restoreBackup(asked, { id: backup, ...wanted })]
    }
    case 'job':
      return [await runJobNamed(asked, (argument as RequestArguments['job']).job, true)]
    case 'pass':
    case 'pass-now':
      return []
    default:
      return kind satisfies never
  }
}
