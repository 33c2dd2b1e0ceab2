import type { HealthProgress } from './wait-until-healthy.ts'

/**
 * A wait in words, from its progress: `waiting for http https://git.example.com: HTTP 502`. It remembers what each check
 * said last, since the news may be of another check than the one that is waited for.
 */
export function waitingWords(): (seen: HealthProgress) => string {
  const said = new Map<string, string>()
  return (seen) => {
    if (seen.ok) said.delete(seen.check)
    else said.set(seen.check, withoutSubject(seen))
    if (seen.waitingFor.length === 0) return 'all checks pass'
    const words = seen.waitingFor.map((check) => {
      const why = said.get(check)
      return why === undefined ? check : `${check}: ${why}`
    })
    return `waiting for ${words.join('; ')}`
  }
}

/** `HTTP 502 (https://git.example.com)` beside the name of its check says the address twice. */
const withoutSubject = ({ check, said }: HealthProgress): string =>
  said.replace(` (${check.replace(/^\w+ /, '')})`, '')
