import { rememberPass } from './current-status.ts'
import type { EngineEvent } from './engine/engine.ts'
import { codeOf, SamovarError, sentenceOf } from './errors.ts'
import { nextPoll } from './git/next-poll.ts'
import type { Operation } from './journal/operations.ts'
import type { Request } from './journal/requests.ts'
import { type Memory, newMemory, type Outlook } from './look.ts'
import { type Answer, outcomeOf } from './outcome.ts'
import type { Parts } from './parts.ts'
import { windowAt } from './plan/windows.ts'
import { type PassOptions, type PassReport, pass } from './reconcile.ts'
import { rollBack } from './roll-back.ts'
import type { Progress } from './rollout/step.ts'

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

type Trigger = { why: string; event: EngineEvent | null; arrived: number }

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
  let triggers: Trigger[] = [{ why: 'start', event: null, arrived: parts.now() }]
  let wake: () => void = () => undefined
  let busy: string[] = []
  let failures = 0
  let lastEventPass = 0
  const watch = watchOf(parts, memory, stopping)

  const passOptions = (about: { services: string[]; now: boolean }): PassOptions => ({
    ...about,
    stopping,
    hint,
    progress: options.progress,
    busy: (services) => {
      busy = services
    },
    ended: options.told.operationEnded,
    looked: (outlook) => {
      state.outlook = outlook
      watch(outlook.loaded.state.host.project, onEvent)
    },
  })

  function onEvent(event: EngineEvent): void {
    if (!driftActions.has(event.action) || busy.includes(event.service)) return
    triggers.push({ why: `${event.service || 'a container'}: ${event.action}`, event, arrived: parts.now() })
    wake()
  }

  /** Events from before the last look are covered by it; so are those of containers a pass has removed itself. */
  const isNews = ({ event, arrived }: Trigger): boolean => {
    if (event === null) return true
    const lookedAt = state.lastReport?.lookedAt ?? 0
    if (state.lastReport?.discarded.includes(event.instance) === true) return false
    return arrived > lookedAt && event.at > lookedAt
  }

  const onePass = async (why: string): Promise<number> => {
    const requests = parts.journal.takeRequests(parts.now())
    const answer = (request: Request, what: Answer) =>
      parts.journal.answerRequest(request.id, JSON.stringify(what), parts.now())
    const waiting = new Set(requests)
    const began = parts.clock.now()
    state.busySince = parts.now()
    options.told.passBegun(why)
    try {
      for (const request of requests.filter((each) => each.kind === 'rollback')) {
        await carryOutRollback(parts, request, {
          options: passOptions({ services: [], now: false }),
          answer,
        }).catch((error: unknown) => options.told.requestFailed(request, error))
        waiting.delete(request)
        // The rendered Compose model and what was trusted belong to the commit in force again.
        memory.targets.clear()
        memory.trusted.clear()
      }
      const asked = [...waiting]
      const at = askedAtOnce(asked)
      if (at !== null && at.services.length > 0) {
        const early = await pass(parts, memory, passOptions(at))
        options.told.passEnded(early)
        for (const request of asked.filter((each) => each.kind === 'pass-now')) {
          answer(request, { outcome: outcomeOf(early, request.service === null ? [] : [request.service]) })
          waiting.delete(request)
        }
      }
      const report = await pass(parts, memory, passOptions({ services: [], now: at?.services.length === 0 }))
      failures = 0
      Object.assign(state, { lastReport: report, lastError: null, passes: state.passes + 1 })
      for (const request of waiting)
        answer(request, { outcome: outcomeOf(report, request.service === null ? [] : [request.service]) })
      rememberPass(parts, report, state.outlook)
      options.told.passEnded(report)
      return untilNextLook(parts, state.outlook)
    } catch (error) {
      state.lastError = { message: sentenceOf(error), at: parts.now() }
      for (const request of waiting) answer(request, { problem: problemOf(error) })
      const pause = Math.min(shortestBackoff * 2 ** failures, longestBackoff)
      failures += 1
      options.told.passFailed(error, pause)
      return pause
    } finally {
      state.busySince = null
      state.lastPassMs = parts.clock.now() - began
    }
  }

  return {
    state,
    trigger(why) {
      triggers.push({ why, event: null, arrived: parts.now() })
      hint.dispatchEvent(new Event('moved'))
      wake()
    },
    async run() {
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
      if (triggers.length > 0) {
        const onlyEvents = triggers.every((each) => each.event !== null)
        const rest = onlyEvents ? lastEventPass + betweenEvents - parts.clock.now() : 0
        await parts.clock.sleep(Math.max(settle, rest), stopping)
        return
      }
      const pause = next - parts.clock.now()
      if (pause <= 0) return
      await sleepUntilWoken(pause)
    }
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

/** `healthy` and `start` are no drift; `die` and `stop` come together, one of them is enough. */
const driftActions = new Set([
  'die',
  'destroy',
  'unhealthy',
  'update',
  'rename',
  'pause',
  'connect',
  'disconnect',
])

const whyQuiet = (parts: Parts): string => (parts.journal.requestsWaiting() ? 'a request' : 'poll')

/** Follows the events of a project; when the project gets another name, those of the new one. */
function watchOf(parts: Parts, memory: Memory, stopping: AbortSignal) {
  let watched: { project: string; end: AbortController } | null = null
  return (project: string, onEvent: (event: EngineEvent) => void): void => {
    if (watched?.project === project) return
    watched?.end.abort()
    const end = new AbortController()
    watched = { project, end }
    const hear = (event: EngineEvent) => {
      memory.trusted.delete(event.instance)
      onEvent(event)
    }
    const signal = AbortSignal.any([stopping, end.signal])
    parts.engine
      .watch(project, hear, () => memory.trusted.clear(), signal)
      .catch(() => {
        // It could not even begin: the next look begins it again, and the polls go on meanwhile.
        if (watched?.end === end) watched = null
      })
  }
}

/** What `apply --now` asked for: the named services, or all (an empty list) as soon as one asked for all. */
function askedAtOnce(requests: Request[]): { services: string[]; now: true } | null {
  const atOnce = requests.filter((request) => request.kind === 'pass-now')
  if (atOnce.length === 0) return null
  const services = atOnce.map((request) => request.service)
  return {
    services: services.some((each) => each === null) ? [] : services.filter((each) => each !== null),
    now: true,
  }
}

type RollbackTask = { options: PassOptions; answer: (request: Request, what: Answer) => void }

async function carryOutRollback(parts: Parts, request: Request, task: RollbackTask): Promise<void> {
  try {
    const { id, service, result, reason, commit } = await rollBack(parts, task.options, request.service ?? '')
    const nothing = { held: [], findings: [], findingsCommit: null, sourceProblem: null, unknown: [] }
    task.answer(request, { outcome: { commit, operations: [{ id, service, result, reason }], ...nothing } })
  } catch (error) {
    task.answer(request, { problem: problemOf(error) })
    throw error
  }
}

function problemOf(error: unknown): { code: string; message: string; next: string } {
  const next = error instanceof SamovarError ? error.next : ''
  return { code: codeOf(error) ?? '', message: sentenceOf(error), next }
}

/** The poll, or earlier when something is due: a pause after a setback, a soak that ends, a window that opens. */
function untilNextLook(parts: Parts, outlook: Outlook | null): number {
  const now = parts.now()
  const host = outlook?.loaded.state.host
  const windows = Object.values(host?.windows ?? {}).map(
    (rule) => windowAt(rule, host?.timezone ?? 'UTC', now).opensAt,
  )
  const due = [
    ...parts.journal.setbacks().map((setback) => setback.nextAt),
    ...parts.journal.kept().map((row) => row.discardAt),
    ...windows,
  ].filter((at) => at > now)
  return Math.min(nextPoll(host?.poll ?? 60_000, Math.random()), ...due.map((at) => at - now + 100))
}
