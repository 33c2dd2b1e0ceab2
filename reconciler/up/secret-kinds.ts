import { createHmac, randomBytes, randomInt } from 'node:crypto'

/** A secret that `samovar up` can make: nobody but this host has to know it. */
export type SecretKind = {
  /** For people. */
  what: string
  /** What was written with another value cannot be read with a new one: never made while there is data. */
  bindsData: boolean
  make(now: number): string
}

/**
 * What a variable of host.yaml holds, by its name. Null for what only others know, such as the password of a mail
 * server or a key of AWS: a random value would be wrong in a way that is found late.
 */
export function secretKind(variable: string): SecretKind | null {
  return kinds.find(({ named }) => named.test(variable))?.kind ?? null
}

/** Gitea makes it; it can only be had when Gitea runs. */
export const isRegistrationToken = (variable: string): boolean => /RUNNER_(\w+_)?TOKEN$/.test(variable)

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/**
 * The formats of Gitea's are those of its own `gitea generate secret` (modules/generate/generate.go): SECRET_KEY is 64
 * letters and digits; INTERNAL_TOKEN is a JWT that says since when it counts, signed with a key that nobody keeps; JWT_SECRET
 * is 32 bytes in base64url without padding, and Gitea replaces any other by one of its own.
 */
const kinds: { named: RegExp; kind: SecretKind }[] = [
  {
    named: /(^|_)SECRET_KEY$/,
    kind: {
      what: 'the key for what Gitea encrypts in its database; keep a copy, it must never change',
      bindsData: true,
      make: () => Array.from({ length: 64 }, () => alphabet[randomInt(alphabet.length)]).join(''),
    },
  },
  {
    named: /(^|_)INTERNAL_TOKEN$/,
    kind: {
      what: 'with which the parts of Gitea speak to each other',
      bindsData: false,
      make: internalToken,
    },
  },
  {
    named: /(^|_)JWT_SECRET$/,
    kind: {
      what: 'the key of signed logins',
      bindsData: false,
      make: () => randomBytes(32).toString('base64url'),
    },
  },
  {
    named: /^(POSTGRES|DATABASE|DB)_(\w+_)?PASSWORD$/,
    kind: { what: 'the password of the database', bindsData: true, make: hexadecimal },
  },
  {
    named: /^(GITEA_)?METRICS_TOKEN$|^DIUN_TOKEN$|(^|_)WEBHOOK_SECRET$/,
    kind: { what: 'with which one service lets another in', bindsData: false, make: hexadecimal },
  },
]

/** 32 random bytes: also good in an address or a file of settings, without quoting. */
function hexadecimal(): string {
  return randomBytes(32).toString('hex')
}

function internalToken(now: number): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const content = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ nbf: Math.floor(now / 1000) })}`
  const signature = createHmac('sha256', randomBytes(32)).update(content).digest('base64url')
  return `${content}.${signature}`
}
