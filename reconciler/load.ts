import type { ComposeModel } from './compose/model.ts'
import { namedVolumes, profiles } from './compose/service-facts.ts'
import { type ComposeCommand, readComposeModel } from './compose-config.ts'
import { crossReferences } from './desired-state/cross-references.ts'
import { readDesiredState } from './desired-state/read.ts'
import { missingSentence } from './desired-state/variables.ts'
import type { DesiredState, Finding, Host } from './desired-state.ts'
import type { Resolved } from './secrets/secrets.ts'

/** One commit, read and found good: what it wants of this host. */
export type Loaded = {
  commit: string
  /** The checkout. */
  root: string
  state: DesiredState
  /** With a stand-in for each secret that is missing. */
  model: ComposeModel
  /** What must be masked wherever text leaves Samovar. */
  secrets: ReadonlySet<string>
  resolved: Omit<Resolved, 'variables' | 'masked'>
}

export type Loading = { loaded: Loaded | null; findings: Finding[] }

/**
 * Reads the desired state and the Compose files of one checkout and judges them together. A commit with findings
 * is not loaded, not even in part.
 *
 * @param options.values resolves `variables` of host.yaml; `standInsFor` judges without any secret (in a pull request, on
 *   a laptop)
 * @throws SamovarError `compose-unavailable`
 */
export async function loadCommit(options: {
  compose: ComposeCommand
  commit: string
  root: string
  directory: string
  values: (host: Pick<Host, 'variables'>) => Resolved | Promise<Resolved>
}): Promise<Loading> {
  const { draft, findings, state, files } = await readDesiredState(options)
  const { host } = draft
  if (host === null || files.host === null) return { loaded: null, findings }
  const { variables, masked, ...resolved } = await options.values(host)
  const composed = await composeModel(options, { files: host.compose, project: host.project, variables })
  if ('findings' in composed) {
    const { yaml } = files.host
    // What stands for a missing secret may be refused where its value would do: a port, a size.
    const missing = resolved.missing.map((each) =>
      yaml.findingAt(['variables', each.name], 'key', missingSentence(each)),
    )
    return { loaded: null, findings: [...findings, ...missing, ...composed.findings] }
  }
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
  const { commit, root } = options
  return { loaded: { commit, root, state, model, secrets: masked, resolved }, findings: [] }
}

/**
 * The secrets to mask in what containers say, or null when they are not all known: a container may know the value of one
 * that is missing now.
 */
export const maskOf = ({ secrets, resolved }: Loaded): ReadonlySet<string> | null =>
  resolved.isComplete ? secrets : null

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
