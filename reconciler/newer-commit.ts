import type { Loaded } from './load.ts'
import { load, type Memory, newMemory, targetsOnce } from './look.ts'
import type { Parts } from './parts.ts'
import { fingerprintOf } from './plan/target.ts'

/** `services`: the one that is rolled out, and those that are swapped with it. `job`: the one that is run. */
type Watch = { loaded: Loaded; services: string[]; hint: EventTarget; job?: string }

/**
 * Looks at Git while a service is being rolled out, at the pace of `poll` and whenever somebody hints that it moved.
 * The signal fires when the newer commit wants something else for this very service, or is judged by other checks:
 * a commit that fixes a roll-out must not wait for its end, and one that has nothing to do with it must not cut it.
 */
export function newerCommit(
  parts: Parts,
  memory: Memory,
  watch: Watch,
): { signal: AbortSignal; end(): void } {
  const found = new AbortController()
  let looking: Promise<void> | null = null
  let again = false
  let ended = false
  const lookOnce = (): void => {
    // What is hinted at during a look may be newer than what that look sees.
    if (looking !== null) again = true
    looking ??= isFix(parts, memory, watch)
      .then((fix) => {
        if (fix !== null)
          found.abort(
            new Error(`a newer commit (${fix.slice(0, 8)}) changes ${watch.job ?? watch.services[0]}`),
          )
      })
      // Git away or a bad commit: neither is a reason to cut anything; the next pass tells of it.
      .catch(() => undefined)
      .finally(() => {
        looking = null
        if (again && !ended) {
          again = false
          lookOnce()
        }
      })
  }
  const timer = setInterval(lookOnce, watch.loaded.state.host.poll)
  watch.hint.addEventListener('moved', lookOnce)
  return {
    signal: found.signal,
    end() {
      ended = true
      clearInterval(timer)
      watch.hint.removeEventListener('moved', lookOnce)
    },
  }
}

/** The newer commit when it changes the service, else null. */
async function isFix(parts: Parts, memory: Memory, watch: Watch): Promise<string | null> {
  const head = await parts.source.head()
  if (head === watch.loaded.commit) return null
  const { commit } = await parts.source.fetch()
  // A memory of its own: what the running pass knows of its commit must not be displaced.
  const { loaded } = await load(parts, newMemory(), commit)
  if (loaded === null) return null
  const [before, after] = [
    await wanted(parts, memory, watch),
    await wanted(parts, newMemory(), { ...watch, loaded }),
  ]
  return before === after ? null : commit
}

async function wanted(
  parts: Parts,
  memory: Memory,
  about: { loaded: Loaded; services: string[]; job?: string },
): Promise<string> {
  const targets = await targetsOnce(parts, memory, about.loaded)
  const each = about.services.map((service) => {
    const target = targets.list.find((one) => one.service === service)
    return [target === undefined ? 'gone' : fingerprintOf(target), targets.policies[service]?.health]
  })
  if (about.job !== undefined) {
    // Its service may have no file of its own.
    const { host } = about.loaded.state
    each.push([
      JSON.stringify([host.jobs[about.job], about.services.map((one) => about.loaded.model.services[one])]),
      undefined,
    ])
  }
  return JSON.stringify(each)
}
