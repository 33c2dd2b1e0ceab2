import { setTimeout as pause } from 'node:timers/promises'
import { type ComposeModel, serviceOf } from '../compose/model.ts'
import { SamovarError, sentenceOf } from '../errors.ts'
import { connectApi } from '../gitea/api.ts'
import type { Loaded } from '../load.ts'
import type { Parts } from '../parts.ts'
import { containerOf } from '../plan/plan.ts'

/** Gitea as a service of the stack. */
export type GiteaService = {
  service: string
  /** ROOT_URL as the Compose file has it, without a slash at its end; null when it has none. */
  rootUrl: string | null
  /** Port inside of the container. */
  port: number
  /** Name by which the container reaches the host, when the Compose file gives it one: webhooks go there. */
  hostName: string | null
}

/** By its image, whatever the service is called. @throws SamovarError `not-found` */
export function giteaService({ state, model }: Pick<Loaded, 'state' | 'model'>): GiteaService {
  const found = Object.values(state.services).filter(({ image }) => /(^|\/)gitea$/.test(image))
  const service = (found.find((each) => each.service === 'gitea') ?? found[0])?.service
  if (service === undefined)
    throw new SamovarError('not-found', 'no service of the desired state is Gitea', {
      next: 'samovar up is for a host that has its Gitea in its own stack; for another one there is `samovar bootstrap`.',
    })
  const { environment = {}, extra_hosts: extraHosts = [] } = serviceOf(model, service)
  const gateway = extraHosts.find((each) => /[:=]host-gateway$/.test(each))
  return {
    service,
    rootUrl: environment['GITEA__server__ROOT_URL']?.replace(/\/+$/, '') ?? null,
    port: Number(environment['GITEA__server__HTTP_PORT'] ?? 3000),
    hostName: gateway?.split(/[:=]/)[0] ?? null,
  }
}

/** True for an address that is not a folder of this machine. */
export const isOnNetwork = (address: string): boolean => /^(https?|ssh):\/\//.test(address)

/**
 * Where people find Gitea, when everything that says so agrees: settings that were copied and not edited would hand the
 * host over to another one.
 *
 * @param settings.repository as the environment has it
 * @throws SamovarError `settings-invalid`
 */
export function webUrlOf(
  { service, rootUrl }: Pick<GiteaService, 'service' | 'rootUrl'>,
  settings: { giteaUrl: string | null; repository: string },
): string {
  const webUrl = rootUrl ?? settings.giteaUrl
  if (webUrl === null || !URL.canParse(webUrl))
    throw new SamovarError('settings-invalid', 'it is not known where people find Gitea', {
      next: `Set GITEA__server__ROOT_URL of ${service} in the Compose file.`,
    })
  const named = { SAMOVAR_GITEA_URL: settings.giteaUrl ?? '', SAMOVAR_REPOSITORY: settings.repository }
  for (const [name, address] of Object.entries(named))
    if (isOnNetwork(address) && new URL(address).hostname !== new URL(webUrl).hostname)
      throw new SamovarError(
        'settings-invalid',
        `${name} leads to ${new URL(address).hostname}, and the Gitea of this stack is ${webUrl}`,
        { next: `Correct ${name}, or take it out: up writes the one that fits.` },
      )
  return settings.giteaUrl ?? webUrl
}

/**
 * Addresses by which this machine may reach Gitea without its door, where there may be no certificate and no name yet:
 * a published port, then the container's own on its networks; last the one for people.
 */
export async function giteaAddresses(
  parts: Pick<Parts, 'engine'>,
  { gitea, model, webUrl }: { gitea: GiteaService; model: ComposeModel; webUrl: string },
): Promise<string[]> {
  const published = (serviceOf(model, gitea.service).ports ?? [])
    .filter((port) => port.target === gitea.port && port.published !== undefined)
    .map((port) => `http://127.0.0.1:${port.published}`)
  const current = containerOf(gitea.service, await parts.engine.observe(model.project))
  const seen = current === null ? null : await parts.engine.inspect(current.instance)
  const own = Object.values(seen?.addresses ?? {}).filter((address) => address !== '')
  return [...published, ...own.map((address) => `http://${address}:${gitea.port}`), webUrl]
}

/**
 * Waits until Gitea's API answers at one of its addresses.
 *
 * @param within milliseconds
 * @returns that address
 * @throws SamovarError `forge-unreachable` with what the last one said, `interrupted`
 */
export async function giteaAnswers(
  addresses: () => Promise<string[]>,
  { within, signal }: { within: number; signal: AbortSignal },
): Promise<{ url: string; version: string }> {
  const deadline = Date.now() + within
  for (;;) {
    let said = 'it has no container'
    for (const url of await addresses()) {
      try {
        return { url, version: await versionAt(url, signal) }
      } catch (error) {
        if (signal.aborted) throw new SamovarError('interrupted', 'Samovar was told to stop')
        said = sentenceOf(error)
      }
    }
    if (Date.now() > deadline)
      throw new SamovarError('forge-unreachable', `Gitea runs, but does not answer: ${said}`, {
        next: 'docker compose logs of the project, or `samovar status`, say more; then run up again.',
      })
    await pause(500)
  }
}

/** Without any credentials: nobody has some yet. */
async function versionAt(url: string, signal: AbortSignal): Promise<string> {
  const patience = { timeoutMs: 3000, pausesMs: [] }
  const api = connectApi({ url, authorization: () => undefined, credentials: 'none', signal, patience })
  const { version } = (await api.ask('GET', '/version')).body as { version?: unknown }
  if (typeof version === 'string') return version
  throw new SamovarError('forge-unreachable', `${url} does not answer as Gitea`)
}
