import { SamovarError } from './errors.ts'
import type { Loaded } from './load.ts'
import { load, type Memory } from './look.ts'
import type { Parts } from './parts.ts'

/** The desired state in force, without asking Git. */
export async function inForce(parts: Parts, memory: Memory): Promise<Loaded> {
  const commit =
    parts.journal.note('last-good-commit') ??
    parts.source.lastGood()?.commit ??
    (await parts.source.fetch()).commit
  const { loaded, findings } = await load(parts, memory, commit)
  if (loaded !== null) return loaded
  const [first] = findings
  throw new SamovarError(
    'desired-state-invalid',
    `commit ${commit.slice(0, 8)} has ${findings.length} findings, first of all: ${first?.message ?? ''}`,
  )
}
