import { sentenceOf } from './errors.ts'
import { nextPoll } from './git/next-poll.ts'
import { type Memory, newMemory } from './look.ts'
import type { Parts } from './parts.ts'
import { type PassReport, pass } from './reconcile.ts'
import type { Progress } from './rollout/step.ts'

const shortestBackoff = 5_000
const longestBackoff = 5 * 60_000
/** Several events of one cause come within this time; one pass looks at all of them. */
const settle = 500
/** How often the loop looks whether the command line asked for something; one read of SQLite. */
const requestsEvery = 500

export type LoopState = {
  lastReport: PassReport | null
  /** The error of the last pass when it could not even look, with the code for metrics. */
  lastError: { message: string; at: number } | null
  passes: number
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
  passBegun(why: string): void
  passEnded(report: PassReport): void
  passFailed(error: unknown, nextTryMs: number): void
}

/**
 * WHEN a pass happens: at start, at the pace of `poll` with jitter, after an Engine event that is not our own doing,
 * after a webhook, when the command line asks, and when a held change is due. One pass at a time; triggers during a
 * pass make one more. A pass that could not look at all is tried again with growing pauses.
 */
export function makeLoop(
  parts: Parts,
  about: { progress: Progress; told: LoopTold; stopping: AbortSignal },
): Loop {
  const { stopping } = about
  const memory: Memory = newMemory()
  const hint = new EventTarget()
  const state: LoopState = { lastReport: null, lastError: null, passes: 0, busySince: null }
  const reasons = new Set<string>(['start'])
  let wake: () => void = () => undefined
  let busy: string[] = []

  const trigger = (why: string): void => {
    reasons.add(why)
    hint.dispatchEvent(new Event('moved'))
    wake()
  }

  const watchEngine = (project: string): void => {
    const onEvent = (event: { instance: string; service: string; action: string; at: number }) => {
      memory.trusted.delete(event.instance)
      if (!driftActions.has(event.action)) return
      if (busy.includes(event.service) || state.lastReport?.discarded.includes(event.instance)) return
      if (state.busySince === null && event.at <= (state.lastReport?.lookedAt ?? 0)) return
      trigger(`${event.service === '' ? 'a container' : event.service}: ${event.action}`)
    }
    void parts.engine.watch(project, onEvent, () => memory.trusted.clear(), stopping)
  }

  let watching: string | null = null
  const onePass = async (why: string): Promise<number> => {
    const requests = parts.journal.takeRequests(parts.now())
    state.busySince = parts.now()
    about.told.passBegun(why)
    try {
      const report = await pass(parts, memory, {
        services: [],
        now: requests.some((request) => request.kind === 'pass-now'),
        stopping,
        hint,
        progress: about.progress,
        busy: (services) => {
          busy = services
        },
      })
      Object.assign(state, { lastReport: report, lastError: null, passes: state.passes + 1 })
      writeReport(parts, report)
      for (const request of requests)
        parts.journal.answerRequest(request.id, JSON.stringify({ ok: true }), parts.now())
      about.told.passEnded(report)
      const project = parts.journal.note('project')
      if (project !== null && watching === null) {
        watching = project
        watchEngine(project)
      }
      return untilNextLook(parts, report, memory)
    } catch (error) {
      const failures = state.lastError === null ? 0 : Number(parts.journal.note('failed-passes') ?? 0)
      parts.journal.writeNote('failed-passes', String(failures + 1))
      state.lastError = { message: sentenceOf(error), at: parts.now() }
      for (const request of requests)
        parts.journal.answerRequest(
          request.id,
          JSON.stringify({ ok: false, message: sentenceOf(error) }),
          parts.now(),
        )
      const pause = Math.min(shortestBackoff * 2 ** failures, longestBackoff)
      about.told.passFailed(error, pause)
      return pause
    } finally {
      state.busySince = null
    }
  }

  return {
    state,
    trigger,
    async run() {
      while (!stopping.aborted) {
        const why = [...reasons].join(', ')
        reasons.clear()
        const pause = await onePass(why === '' ? 'poll' : why)
        if (reasons.size === 0) await sleepUntil(pause)
        if (reasons.size > 0) await parts.clock.sleep(settle, stopping)
      }
    },
  }

  /** Until the pause is over, a trigger comes, a request waits, or the end. */
  async function sleepUntil(pause: number): Promise<void> {
    const woken = new AbortController()
    wake = () => woken.abort()
    const look = setInterval(() => {
      if (parts.journal.requestsWaiting()) woken.abort()
    }, requestsEvery)
    try {
      await parts.clock.sleep(pause, AbortSignal.any([stopping, woken.signal]))
    } finally {
      clearInterval(look)
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

/** The poll, or earlier when something is due: a pause after a setback, a soak that ends. */
function untilNextLook(parts: Parts, report: PassReport, memory: Memory): number {
  const poll = memory.loaded.get(report.commit ?? '')?.state.host.poll ?? 60_000
  const now = parts.now()
  const due = [
    ...parts.journal.setbacks().map((setback) => setback.nextAt),
    ...parts.journal.kept().map((row) => row.discardAt),
  ].filter((at) => at > now)
  return Math.min(nextPoll(poll, Math.random()), ...due.map((at) => at - now + 100))
}

/** What `status` shows of the last pass, also after the process ended. */
function writeReport(parts: Parts, report: PassReport): void {
  const { commit, findings, findingsCommit, sourceProblem, at } = report
  parts.journal.writeNote(
    'last-pass',
    JSON.stringify({
      commit,
      findings,
      findingsCommit,
      sourceProblem,
      at,
      operations: report.operations.map((operation) => operation.id),
    }),
  )
}
