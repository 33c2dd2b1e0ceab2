import { serviceOf } from '../compose/model.ts'
import { statusNow } from '../current-status.ts'
import type { Outlook } from '../look.ts'
import type { UpContext } from './context.ts'
import type { GiteaService } from './gitea-service.ts'

/** What runs where. */
export type UpRow = { service: string; version: string; state: string; addresses: string[] }

/** One row for each service of the desired state. */
export function rowsOf(
  { parts }: Pick<UpContext, 'parts'>,
  outlook: Outlook,
  gitea: GiteaService & { webUrl: string },
): UpRow[] {
  const { services } = statusNow(parts, { outlook, problems: [], findings: [] })
  return services.map(({ name, desired, running, health, state, reason }) => ({
    service: name,
    version: running?.tag ?? desired.tag,
    state: stateOf({ isThere: running !== null, health, state, reason, outlook, name }),
    addresses: [
      ...(name === gitea.service ? [gitea.webUrl] : []),
      ...(serviceOf(outlook.loaded.model, name).ports ?? []).flatMap((port) =>
        port.published === undefined
          ? []
          : [`${port.host_ip ?? '*'}:${port.published}${port.protocol === 'udp' ? '/udp' : ''}`],
      ),
    ],
  }))
}

type Standing = {
  isThere: boolean
  health: string
  state: string
  reason: string
  outlook: Outlook
  name: string
}

function stateOf({ isThere, health, state, reason, outlook, name }: Standing): string {
  const target = outlook.targets.list.find((each) => each.service === name)
  if (target?.onDemand === true) return 'when it is needed'
  if (target?.endsByItself === true && isThere && state === 'idle') return 'has done its work'
  if (state !== 'idle') return `${state}: ${reason.split('; next: ')[0]}`
  return isThere ? (health === 'none' ? 'running' : health) : 'not there'
}
