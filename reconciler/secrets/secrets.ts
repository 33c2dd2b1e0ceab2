import { createHmac, randomBytes } from 'node:crypto'
import { type MissingSecret, resolveVariables, standInVariables } from '../desired-state/variables.ts'
import type { Host } from '../desired-state.ts'
import { hostKey } from '../host-key.ts'
import { openSecretsManager, type SecretsManager } from './secrets-manager.ts'

/** The variables of one commit with their values, as they are at this moment. */
export type Resolved = {
  /** All that `${...}` may use; of a missing secret its stand-in. */
  variables: Record<string, string>
  /** Value of each secret that is there, by the name of its variable. */
  values: ReadonlyMap<string, string>
  missing: MissingSecret[]
  /** Sentences about values that are earlier ones, since their place did not answer. */
  outages: string[]
  /** Everything to be masked: the values, those that were read before in the life of this process, stand-ins. */
  masked: ReadonlySet<string>
  /** Whether `masked` is all there is to mask: false when a missing secret was never read by this process. */
  isComplete: boolean
  /** Tells two resolutions apart; worth nothing outside of this process. */
  fingerprint: string
}

/** Where values of secrets come from. One for each process: it remembers what it read. */
export type Secrets = {
  /** @param lookup reads one environment variable of Samovar */
  resolve(host: Pick<Host, 'variables'>, lookup: (name: string) => string | undefined): Promise<Resolved>
}

/** An earlier value stands in logs for a while; a host that rotates daily keeps a month of them. */
const mostFormer = 1_000

/** @param stateDir its key makes what stands for a missing secret, which nobody can guess and which stays the same */
export function openSecrets(stateDir: string, manager: SecretsManager = openSecretsManager()): Secrets {
  const everRead = new Set<string>()
  const namesRead = new Set<string>()
  const key = randomBytes(32)
  const standIn = (name: string): string => {
    const mark = createHmac('sha256', hostKey(stateDir)).update(`missing ${name}`).digest('hex')
    return `missing-${name}-${mark.slice(0, 16)}`
  }
  return {
    async resolve(host, lookup) {
      const { variables, secrets, missing, outages } = await resolveVariables(host, {
        lookup,
        secretsManager: (reference) => manager.read(reference),
        standIn,
      })
      if (everRead.size > mostFormer) everRead.clear()
      for (const [name, value] of secrets) {
        everRead.add(value)
        namesRead.add(name)
      }
      return {
        variables,
        values: secrets,
        missing,
        outages,
        masked: new Set([...everRead, ...missing.map((each) => each.standIn)]),
        isComplete: missing.every(({ name }) => namesRead.has(name)),
        fingerprint: createHmac('sha256', key)
          .update(JSON.stringify(Object.entries(variables)))
          .digest('hex'),
      }
    },
  }
}

/** Judges without any secret: plain variables as they are, for each secret a text that is none. */
export const standInsFor =
  (standIn?: (name: string) => string) =>
  (host: Pick<Host, 'variables'>): Resolved => ({
    variables: standInVariables(host, standIn),
    ...noSecrets,
  })

/** Of a commit that names none, or is judged without them. */
export const noSecrets: Omit<Resolved, 'variables'> = {
  values: new Map(),
  missing: [],
  outages: [],
  masked: new Set(),
  isComplete: true,
  fingerprint: '',
}
