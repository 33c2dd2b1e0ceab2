import type { ComposeModel } from '../compose/model.ts'
import { mountedSources } from '../compose/mounted-sources.ts'
import { type MissingSecret, missingSentence } from '../desired-state/variables.ts'

type Where = { model: ComposeModel; resolved: { missing: readonly MissingSecret[] } }

/** Whether what stands for a missing secret is anywhere in a part of the model. Pure. */
export function lacksSecret(part: unknown, missing: readonly MissingSecret[]): boolean {
  return missing.length > 0 && lacking(part, missing).length > 0
}

function lacking(part: unknown, missing: readonly MissingSecret[]): MissingSecret[] {
  if (missing.length === 0) return []
  const text = JSON.stringify(part) ?? ''
  return missing.filter(({ standIn }) => text.includes(standIn))
}

/** The missing secrets that the container of a service would need, also by a network, volume or file it uses. Pure. */
export function missingFor({ model, resolved }: Where, service: string): MissingSecret[] {
  const body = model.services[service] ?? {}
  const networks = Object.keys(body.networks ?? {}).map((name) => model.networks[name])
  const volumes = (body.volumes ?? []).map((volume) => model.volumes[volume.source ?? ''])
  // Of the secrets and configs those alone that it mounts.
  const files = mountedSources(model, service)
  return lacking([model.project, service, body, networks, volumes, files], resolved.missing)
}

/** Why a service waits for secrets, with the next step, or null when it has all it needs. Pure. */
export function missingSecretProblem(where: Where, service: string): string | null {
  const [first, ...more] = missingFor(where, service)
  if (first === undefined) return null
  const others = more.map(({ name }) => name)
  const { name, why, next } = first
  return others.length === 0
    ? missingSentence(first)
    : `the secrets ${[name, ...others].join(', ')} are missing, first of all ${name}: ${why}; next: ${next}`
}
