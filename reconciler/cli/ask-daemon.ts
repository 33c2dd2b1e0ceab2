import { setTimeout as pause } from 'node:timers/promises'
import { SamovarError } from '../errors.ts'
import { lockOwner } from '../journal/lock.ts'
import type { RequestKind } from '../journal/requests.ts'
import type { Journal } from '../journal.ts'
import type { Answer, Outcome } from '../outcome.ts'
import type { Console } from './console.ts'
import { endLines, headLine, liveLine, stepLine } from './progress.ts'

const every = 200

export type Wish = { kind: RequestKind; service: string | null; argument?: unknown }

/**
 * Asks the daemon, which holds the lock, and shows what it does until all is answered.
 *
 * @throws SamovarError what the daemon could not do, or `interrupted` when it ended before it answered
 */
export async function askDaemon(
  about: { journal: Journal; stateDir: string; console: Console },
  wishes: Wish[],
): Promise<Outcome[]> {
  const { journal, stateDir, console } = about
  const follow = follower(journal, console)
  const open = new Set(
    wishes.map((wish) =>
      journal.ask(
        wish.kind,
        wish.service,
        Date.now(),
        wish.argument === undefined ? null : JSON.stringify(wish.argument),
      ),
    ),
  )
  const outcomes: Outcome[] = []
  const began = performance.now()
  console.line(console.paint('dim', 'the daemon holds the lock; it was asked to do this'))
  while (open.size > 0) {
    await pause(every)
    if (!follow()) console.live(liveLine('waiting for the daemon', performance.now() - began, ''))
    for (const id of open) {
      const text = journal.requestResult(id)
      if (text === null) continue
      open.delete(id)
      const answer = JSON.parse(text) as Answer
      if ('problem' in answer) {
        const { code, message, next } = answer.problem
        throw new SamovarError(code === '' ? 'engine-refused' : (code as SamovarError['code']), message, {
          next,
        })
      }
      outcomes.push(answer.outcome)
    }
    if (
      open.size > 0 &&
      lockOwner(stateDir) === null &&
      [...open].every((id) => journal.requestResult(id) === null)
    ) {
      for (const id of open) journal.withdrawRequest(id)
      throw new SamovarError('interrupted', 'the daemon ended before it answered', {
        next: 'Start it again, or repeat this command: without a daemon it does the work itself.',
      })
    }
  }
  follow()
  return outcomes
}

/** Shows the steps of operations that run from now on, each once; true while something is shown as going on. */
function follower(journal: Journal, console: Console): () => boolean {
  const already = new Set(
    journal
      .history(20)
      .filter((operation) => operation.result !== 'running')
      .map((operation) => operation.id),
  )
  const told = new Map<string, number>()
  return () => {
    let live = false
    for (const operation of journal.history(20).reverse()) {
      if (already.has(operation.id)) continue
      const before = told.get(operation.id)
      if (before === undefined) console.line(headLine(console, operation))
      const steps = journal.steps(operation.id)
      const ended = steps.filter((step) => step.result !== 'running')
      for (const step of ended.slice(before ?? 0)) console.line(stepLine(console, step))
      told.set(operation.id, ended.length)
      if (operation.result !== 'running') {
        already.add(operation.id)
        for (const line of endLines(console, operation)) console.line(line)
        continue
      }
      const step = steps.at(-1)
      if (step === undefined || step.result !== 'running') continue
      console.live(liveLine(step.name, Date.now() - step.startedAt, ''))
      live = true
    }
    return live
  }
}
