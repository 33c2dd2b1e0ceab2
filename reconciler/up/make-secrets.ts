import type { Host } from '../desired-state.ts'
import { makeSecretFile, missingFiles } from './host-secrets.ts'
import { done, type UpStep } from './step.ts'

/** Makes what is missing and can be made. @param now milliseconds since 1970 */
export function* makeSecrets(host: Pick<Host, 'variables'>, now: number): Generator<UpStep> {
  for (const { variable, path, kind } of missingFiles(host)) {
    if (kind === null || !makeSecretFile(path, kind.make(now))) continue
    yield done('secrets', `${variable} in ${path}: ${kind.what}`)
  }
}

/** What `makeSecrets` would do, for the one who is asked. */
export const secretsToMake = (host: Pick<Host, 'variables'>): string[] =>
  missingFiles(host).flatMap(({ variable, path, kind }) =>
    kind === null ? [] : [`make the secret ${variable} in ${path}`],
  )
