import { createHmac } from 'node:crypto'
import type { ContainerBody, FieldDifference } from '../engine/container-body.ts'
import { samovarLabels } from '../engine/engine.ts'

/**
 * The secrets whose values are in a container: `NAME=hash` of each, for a label. The hashes are keyed, so that they say
 * nothing to somebody who guesses values. Pure.
 *
 * @param parts everything the container is made of: its body and the texts it mounts
 */
export function secretsIn(
  parts: unknown,
  about: { values: ReadonlyMap<string, string>; key: string },
): string {
  const texts = textsIn(parts)
  const used = [...about.values].filter(([, value]) => texts.some((text) => text.includes(value)))
  return used
    .map(([name, value]) => `${name}=${hashOf(value, about.key)}`)
    .sort()
    .join(',')
}

const hashOf = (value: string, key: string): string =>
  createHmac('sha256', key).update(`secret ${value}`).digest('hex').slice(0, 16)

/** Not as JSON, which would write line ends and quotes of a value in another way. */
function textsIn(part: unknown): string[] {
  if (typeof part === 'string') return [part]
  if (typeof part !== 'object' || part === null) return []
  return Object.entries(part).flatMap(([key, value]) => [key, ...textsIn(value)])
}

/**
 * A changed secret as a reason of its own, beside the fields that hold it, which show nothing of either value. Pure.
 *
 * @param before the label of the container, or undefined when it has none
 */
export function secretChanges(before: string | undefined, body: ContainerBody): FieldDifference[] {
  const after = body.Labels[samovarLabels.secrets]
  if (before === undefined || after === undefined) return []
  const former = new Map(pairs(before))
  return pairs(after)
    .filter(([name, hash]) => former.has(name) && former.get(name) !== hash)
    .map(([name]) => ({ field: `${prefix}${name}`, before: '', after: 'changed' }))
}

const prefix = 'secret '

/** `secret NAME changed`: it has no value before and after that could be told. */
export const isSecretChange = ({ field, after }: FieldDifference): boolean =>
  field.startsWith(prefix) && after === 'changed'

const pairs = (text: string): [string, string][] =>
  text
    .split(',')
    .filter((each) => each !== '')
    .map((each) => {
      const at = each.indexOf('=')
      return [each.slice(0, at), each.slice(at + 1)]
    })
