import { announceFailure, announcePass, announcing } from './announce.ts'
import { askedOperations } from './asked-operations.ts'
import { rememberPass } from './current-status.ts'
import { isDrift, watchProject } from './drift-watch.ts'
import type { EngineEvent } from './engine/engine.ts'
import { SamovarError, sentenceOf } from './errors.ts'
import { nextPoll } from './git/next-poll.ts'
import type { Operation } from './journal/operation.ts'
import type { Request } from './journal/requests.ts'
import { type Memory, newMemory, type Outlook } from './look.ts'
import type { Parts } from './parts.ts'
import { type PassReport, pass } from './reconcile.ts'
import { askedAtOnce, dropRequests, type TakenRequests, takeRequests } from './requests.ts'
import type { Progress } from './rollout/step.ts'
import { alarmClock, roundsThatAreDue } from './rounds.ts'
import { sweepStoresOnce } from './sweep-stores.ts'
import type { PassOptions } from './work.ts'

const shortestBackoff = 5_000
const longestBackoff = 5 * 60_000
/** Several events of one cause come within this time; one pass looks at all of them. */
const settle = 500
/** A container that dies again and again must not make a pass, and a fetch, of each death. */
const betweenEvents = 5_000
/** How often the loop looks whether the command line asked for something; one read of SQLite. */
const requestsEvery = 500

export type LoopState = {
  lastReport: PassReport | null
  /** The last look that saw both Git and the host. */
  outlook: Outlook | null
  /** Why the last pass could not even look, or null. */
  lastError: { message: string; at: number } | null
  /** Passes that ended well in this process. */
  passes: number
  lastPassMs: number | null
  /** Milliseconds since 1970. */
  busySince: number | null
}

export type Loop = {
  state: LoopState
  /** Something may have changed: a webhook, a person. Many triggers make one next pass. */
  trigger(why: string): void
  /** Ends when the signal of the loop has fired and the current step is finished or safely cut. */
  run(): Promise<void>
}

export type LoopTold = {
  operationEnded(operation: Operation): void
  passBegun(why: string): void
  passEnded(report: PassReport): void
  passFailed(error: unknown, nextTryMs: number): void
  /** A request of the command line that failed by itself: the one who asked is answered as well. */
  requestFailed(request: Request, error: unknown): void
}

export type LoopOptions = { progress: Progress; told: LoopTold; stopping: AbortSignal }

/** `arrived` is a moment of the calendar, to compare with the engine's own; `seen` is one of the clock. */
type Trigger = { why: string; event: EngineEvent | null; arrived: number; seen: number }

/**
 * WHEN a pass happens: at start, at the pace of `poll` with jitter, after an Engine event that is not our own doing,
 * after a webhook, when the command line asks, and when something held is due. One pass at a time; triggers during a
 * pass make one more. A pass that could not look at all is tried again with growing pauses.
 */
export function makeLoop(parts: Parts, options: LoopOptions): Loop {
  const { stopping } = options
  const memory: Memory = newMemory()
  const hint = new EventTarget()
  const state: LoopState = {
    lastReport: null,
    outlook: null,
    lastError: null,
    passes: 0,
    lastPassMs: null,
    busySince: null,
  }
  let triggers: Trigger[] = []
  note('start', null)
  let wake: () => void = () => undefined
  let busy: string[] = []
  let failures = 0
  let lastEventPass = Number.NEGATIVE_INFINITY
  const watch = watchProject(parts, memory, stopping)
  const alarm = alarmClock((round) => {
    note(`the ${round} is due`, null)
    wake()
  }, stopping)

  const passOptions = (about: { services: string[]; now: boolean }): PassOptions =>
    announcing(parts, ownOptions(about))

  const ownOptions = (about: { services: string[]; now: boolean }): PassOptions => ({
    ...about,
    stopping,
    hint,
    progress: options.progress,
    busy: (services) => {
      busy = services
    },
    ended: (operation) => options.told.operationEnded(operation),
    looked: (outlook) => {
      state.outlook = outlook
      watch(outlook.loaded.state.host.project, onEvent)
    },
  })

  /** Events of networks name no project: only those about a container that the last look saw are ours. */
  const isOurs = (event: EngineEvent): boolean =>
    event.service !== '' || state.outlook?.running.some((each) => each.instance === event.instance) === true

  function onEvent(event: EngineEvent): void {
    if (!isOurs(event)) return
    if (!isDrift(event) || busy.includes(event.service)) return
    note(`${event.service || 'a container'}: ${event.action}`, event)
    wake()
  }

  function note(why: string, event: EngineEvent | null): void {
    triggers.push({ why, event, arrived: parts.now(), seen: parts.clock.now() })
  }

  /** Events from before the last look are covered by it; so are those of containers a pass has removed itself. */
  const isNews = ({ event, arrived }: Trigger): boolean => {
    if (event === null) return true
    const lookedAt = state.lastReport?.lookedAt ?? 0
    if (state.lastReport?.discarded.includes(event.instance) === true) return false
    return arrived > lookedAt && event.at > lookedAt
  }

  const onePass = async (why: string): Promise<number> => {
    const began = parts.clock.now()
    state.busySince = parts.now()
    options.told.passBegun(why)
    const requests = takeRequests(parts)
    try {
      await doAsked(requests, passOptions({ services: [], now: false }))
      const at = askedAtOnce(requests)
      if (at !== null && at.services.length > 0) {
        const early = await pass(parts, memory, passOptions(at))
        announcePass(parts, early)
        options.told.passEnded(early)
        requests.answerPass(early, (request) => request.kind === 'pass-now')
      }
      const report = await pass(parts, memory, passOptions({ services: [], now: at?.services.length === 0 }))
      failures = 0
      Object.assign(state, { lastReport: report, lastError: null, passes: state.passes + 1 })
      rememberPass(parts, report, state.outlook)
      requests.answerPass(report, () => true)
      announcePass(parts, report)
      options.told.passEnded(report)
      alarm(state.outlook?.loaded.state.host)
      await sweepStoresOnce(parts, memory).catch(() => null)
      await roundsThatAreDue(parts, memory, passOptions({ services: [], now: false }))
      return untilNextLook(parts, state.outlook)
    } catch (error) {
      state.lastError = { message: sentenceOf(error), at: parts.now() }
      if (!stopping.aborted) announceFailure(parts)
      requests.fail(error)
      const pause = Math.min(shortestBackoff * 2 ** failures, longestBackoff)
      failures += 1
      options.told.passFailed(error, pause)
      return pause
    } finally {
      state.busySince = null
      state.lastPassMs = parts.clock.now() - began
    }
  }

  /** One that fails is answered and told; it does not keep the others, nor the pass, from their work. */
  async function doAsked(requests: TakenRequests, how: PassOptions): Promise<void> {
    for (const request of requests.open()) {
      if (request.kind === 'pass' || request.kind === 'pass-now') continue
      try {
        requests.answerOperations(request, await askedOperations(parts, memory, { request, options: how }))
      } catch (error) {
        requests.failOne(request, error)
        options.told.requestFailed(request, error)
      }
      // The rendered Compose model and what was trusted belong to the commit in force again.
      memory.targets.clear()
      memory.trusted.clear()
    }
  }

  return {
    state,
    trigger(why) {
      note(why, null)
      hint.dispatchEvent(new Event('moved'))
      wake()
    },
    async run() {
      const gone = new SamovarError('interrupted', 'the daemon that was asked ended before it was done', {
        next: 'Ask again.',
      })
      dropRequests(parts, gone)
      while (!stopping.aborted) {
        const why = [...new Set(triggers.map((each) => each.why))].join(', ')
        if (triggers.some((each) => each.event !== null)) lastEventPass = parts.clock.now()
        triggers = []
        const next = parts.clock.now() + (await onePass(why === '' ? whyQuiet(parts) : why))
        await nextReason(next)
      }
    },
  }

  /** Resolves when the next pass is to begin: something happened, a request waits, the pause is over, or the end. */
  async function nextReason(next: number): Promise<void> {
    while (!stopping.aborted) {
      triggers = triggers.filter(isNews)
      if (parts.journal.requestsWaiting()) return
      const pause = Math.min(next, whenToLook()) - parts.clock.now()
      if (pause <= 0) return
      await sleepUntilWoken(pause)
    }
  }

  function whenToLook(): number {
    const [first] = triggers
    if (first === undefined) return Number.POSITIVE_INFINITY
    const onlyEvents = triggers.every((each) => each.event !== null)
    return Math.max(first.seen + settle, onlyEvents ? lastEventPass + betweenEvents : 0)
  }

  async function sleepUntilWoken(pause: number): Promise<void> {
    const woken = new AbortController()
    const end = () => woken.abort()
    wake = end
    stopping.addEventListener('abort', end, { once: true })
    const look = setInterval(() => {
      if (parts.journal.requestsWaiting()) end()
    }, requestsEvery)
    try {
      await parts.clock.sleep(pause, woken.signal)
    } finally {
      clearInterval(look)
      stopping.removeEventListener('abort', end)
      wake = () => undefined
    }
  }
}

const whyQuiet = (parts: Parts): string => (parts.journal.requestsWaiting() ? 'a request' : 'poll')

/** The poll, or earlier when something is due: a pause after a setback, a soak that ends, a held change that may start. */
function untilNextLook(parts: Parts, outlook: Outlook | null): number {
  const now = parts.now()
  const due = [
    ...parts.journal.setbacks().map((setback) => setback.nextAt),
    ...parts.journal.kept().map((row) => row.discardAt),
    ...(outlook?.plan.changes ?? []).map((change) => change.startsAt ?? 0),
  ].filter((at) => at > now)
  return Math.min(
    nextPoll(outlook?.loaded.state.host.poll ?? 60_000, Math.random()),
    ...due.map((at) => at - now + 100),
  )
}
