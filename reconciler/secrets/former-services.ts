import type { MissingSecret } from '../desired-state/variables.ts'
import { lacksSecret } from './missing.ts'

type Table = Record<string, unknown>
type Service = {
  image?: string
  depends_on?: Record<string, unknown>
  secrets?: { source: string }[]
  configs?: { source: string }[]
} & Table

/** What documentOf() answers, as far as it is looked at here. */
export type ComposeDocument = Record<string, unknown> & {
  services: Record<string, Service>
  networks: Table
  volumes: Table
  secrets: Table
  configs: Table
}

/**
 * The document without what stands for missing secrets: a service that lacks one is taken from the document before, or
 * left out when it was not in it. An operator's `docker compose up` leaves it alone then. Pure.
 *
 * @param former the document that was written last, which has no stand-ins
 */
export function withFormer(
  document: ComposeDocument,
  former: ComposeDocument | null,
  about: { missing: readonly MissingSecret[]; lacking: ReadonlySet<string> },
): ComposeDocument {
  const result = structuredClone(document)
  for (const kind of ['networks', 'volumes'] as const) {
    for (const [name, body] of Object.entries(result[kind])) {
      if (!lacksSecret(body, about.missing)) continue
      const before = former?.[kind]?.[name]
      if (before === undefined) delete result[kind][name]
      else result[kind][name] = before
    }
  }
  for (const service of about.lacking) {
    const before = former?.services?.[service]
    const image = result.services[service]?.image
    delete result.services[service]
    if (before === undefined) continue
    // The image is the one that runs; the rest is what it was made with.
    result.services[service] = image === undefined ? before : { ...before, image }
    for (const kind of ['secrets', 'configs'] as const)
      for (const { source } of before[kind] ?? []) result[kind][source] = former?.[kind]?.[source]
  }
  return withoutLooseEnds(result)
}

/** Compose refuses a file with a service that needs one which is not there. */
function withoutLooseEnds(document: ComposeDocument): ComposeDocument {
  const { services } = document
  const isThere = (name: string): boolean => Object.hasOwn(services, name)
  const borrowers = Object.keys(services).filter((name) =>
    ['network_mode', 'ipc', 'pid'].some((key) => {
      const mode = String(services[name]?.[key] ?? '')
      return mode.startsWith('service:') && !isThere(mode.slice('service:'.length))
    }),
  )
  for (const name of borrowers) delete services[name]
  if (borrowers.length > 0) return withoutLooseEnds(document)
  for (const service of Object.values(services)) {
    if (service.depends_on === undefined) continue
    service.depends_on = Object.fromEntries(
      Object.entries(service.depends_on).filter(([name]) => isThere(name)),
    )
  }
  return document
}
