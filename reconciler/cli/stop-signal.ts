import type { Console } from './console.ts'

/**
 * Ctrl-C and SIGTERM end a verb in an orderly way: the current step is finished or safely cut. A second one ends the
 * process at once, which is safe as well: the journal knows where it was, and the next start goes on from there.
 */
export function stopSignal(console: Pick<Console, 'problem'>): { signal: AbortSignal } & Disposable {
  const stopping = new AbortController()
  const onSignal = (name: NodeJS.Signals) => {
    if (stopping.signal.aborted) process.exit(1)
    console.problem(`${name}: finishing or safely cutting the current step; once more ends at once`)
    stopping.abort(new Error(name))
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return {
    signal: stopping.signal,
    [Symbol.dispose]: () => process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  }
}
