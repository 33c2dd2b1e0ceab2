import type { ComposeModel } from './compose/model.ts'
import { namedVolumes, profiles } from './compose/service-facts.ts'
import { type ComposeCommand, readComposeModel } from './compose-config.ts'
import { crossReferences } from './desired-state/cross-references.ts'
import { readDesiredState } from './desired-state/read.ts'
import { resolveVariables, standInVariables } from './desired-state/variables.ts'
import type { DesiredState, Finding } from './desired-state.ts'

/** One commit, read and found good: what it wants of this host. */
export type Loaded = {
  commit: string
  /** The checkout. */
  root: string
  state: DesiredState
  model: ComposeModel
  secrets: ReadonlySet<string>
}

export type Loading = { loaded: Loaded | null; findings: Finding[] }

/**
 * Reads the desired state and the Compose files of one checkout and judges them together. A commit with findings
 * is not loaded, not even in part.
 *
 * @param options.lookup for `env:` secrets, or null to judge without any secret (in a pull request, on a laptop)
 * @param options.standIn what stands for a secret then
 * @throws SamovarError `settings-invalid` for a missing secret, `compose-unavailable`
 */
export async function loadCommit(options: {
  compose: ComposeCommand
  commit: string
  root: string
  directory: string
  lookup: ((name: string) => string | undefined) | null
  standIn?: (name: string) => string
}): Promise<Loading> {
  const { draft, findings, state, files } = await readDesiredState(options)
  const { host } = draft
  if (host === null || files.host === null) return { loaded: null, findings }
  const { variables, secrets } =
    options.lookup === null
      ? { variables: standInVariables(host, options.standIn), secrets: new Set<string>() }
      : await resolveVariables(host, options.lookup)
  const composed = await composeModel(options, { files: host.compose, project: host.project, variables })
  if ('findings' in composed) return { loaded: null, findings: [...findings, ...composed.findings] }
  const { model } = composed
  const names = {
    services: Object.fromEntries(
      Object.keys(model.services).map((service) => [
        service,
        { profiles: profiles(model, service), volumes: namedVolumes(model, service) },
      ]),
    ),
    volumes: Object.keys(model.volumes),
  }
  const all = [...findings, ...crossReferences(draft, names, files)]
  if (all.length > 0 || state === null) return { loaded: null, findings: all }
  return { loaded: { commit: options.commit, root: options.root, state, model, secrets }, findings: [] }
}

async function composeModel(
  where: { compose: ComposeCommand; root: string },
  about: { files: string[]; project: string; variables: Record<string, string> },
): Promise<{ model: ComposeModel } | { findings: Finding[] }> {
  try {
    return { model: await readComposeModel(where.compose, { directory: where.root, ...about }) }
  } catch (error) {
    if (error instanceof Error && 'findings' in error) return { findings: error.findings as Finding[] }
    throw error
  }
}
