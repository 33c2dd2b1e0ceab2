import type { Loaded } from '../load.ts'

/** A secret that stands in the configuration of a container, where `docker inspect` shows it. */
export type ExposedSecret = { service: string; secret: string; fields: string[] }

/** These become files in the container, which is where secrets belong. */
const asFiles = new Set(['secrets', 'configs'])

/**
 * Where services take secrets otherwise than through files. Pure.
 *
 * @param loaded judged with the usual stand-ins (`secret-NAME`)
 */
export function exposedSecrets({ model, state }: Pick<Loaded, 'model' | 'state'>): ExposedSecret[] {
  const secrets = Object.entries(state.host.variables).flatMap(([name, value]) =>
    typeof value === 'string' ? [] : [name],
  )
  return Object.entries(model.services).flatMap(([service, body]) =>
    secrets.flatMap((secret) => {
      const standIn = new RegExp(`secret-${secret}(?![A-Za-z0-9_])`)
      const fields = Object.entries(body)
        .filter(([key]) => !asFiles.has(key))
        .flatMap(([key, value]) => fieldsWith(standIn, key, value))
      return fields.length === 0 ? [] : [{ service, secret, fields }]
    }),
  )
}

/** `environment.NAME`, and for everything else its key. */
function fieldsWith(standIn: RegExp, key: string, value: unknown): string[] {
  if (key !== 'environment') return standIn.test(JSON.stringify(value) ?? '') ? [key] : []
  return Object.entries((value ?? {}) as Record<string, string | null>)
    .filter(([, text]) => standIn.test(text ?? ''))
    .map(([name]) => `environment.${name}`)
}

/** Not wrong, since many images take secrets no other way; but there is a better one where they do. */
export const hintLine = ({ service, secret, fields }: ExposedSecret): string =>
  `${service} takes the secret ${secret} through ${fields.join(', ')}, where docker inspect shows it; next: mount it as a file (secrets: with environment: ${secret}) where the image can read one, as NAME_FILE`
