import type { Change } from './change.ts'

/**
 * Why a change waits that would stop the very container Samovar runs in: whoever began it would not live to see its
 * end. Null for every other change.
 *
 * @param own id of that container, or null when Samovar runs on the host itself
 */
export function heldByOwnContainer(
  { service, action, current }: Pick<Change, 'service' | 'action' | 'current'>,
  own: string | null,
): string | null {
  const stopsIt = action === 'replace' || action === 'remove'
  if (own === null || current?.instance !== own || !stopsIt) return null
  const doing = action === 'replace' ? 'replaced' : 'removed'
  return `Samovar runs in ${current.name} and is not ${doing} by itself; next: update it from the host, as docs/operations.md says under "Update Samovar", or name no service ${service} in the desired state`
}
