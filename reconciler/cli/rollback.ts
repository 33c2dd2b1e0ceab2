import { lockOwner, takeLock } from '../journal/lock.ts'
import { newMemory } from '../look.ts'
import { type Outcome, outcomeOfOperation } from '../outcome.ts'
import { buildParts, openState } from '../parts.ts'
import { recover } from '../recover.ts'
import { rollBack } from '../roll-back.ts'
import { readSettings, type Settings } from '../settings.ts'
import type { PassOptions } from '../work.ts'
import { exitOf } from './apply.ts'
import { askDaemon } from './ask-daemon.ts'
import type { Console } from './console.ts'
import { endLines, screenProgress } from './progress.ts'
import { stopSignal } from './stop-signal.ts'
import { exit, type Verb } from './verb.ts'

export const rollbackVerb: Verb = {
  name: 'rollback',
  usage: 'SERVICE',
  summary: 'put back the version of a service that ran before',
  about:
    'Rolls SERVICE out as it was before its newest roll-out, as the commit of that time had it, with the health checks of\nthat time. What runs now is quarantined, so that no pass rolls it forward again: push the version you want, or lift it\nwith `samovar retry SERVICE`.',
  exits: [
    [exit.fine, 'the version before runs and is healthy'],
    [exit.reverted, 'it was not healthy: the newer version is back, or nothing could be put back'],
    [exit.error, 'there is nothing to go back to, or it failed before anything was replaced'],
  ],
  options: {},
  optionTexts: {},
  names: [1, 1],
  json: true,
  run: async ({ names, console }) => {
    const settings = readSettings({ repository: true })
    const service = names[0] ?? ''
    const daemon = lockOwner(settings.stateDir)?.what === 'samovar run'
    const outcome = daemon ? await asked(settings, service, console) : await here(settings, service, console)
    console.document(outcome)
    const code = exitOf(outcome)
    if (code === exit.fine)
      console.line(
        `next: put the version you want into Git, or samovar retry ${service} to roll forward again`,
      )
    return code
  },
}

async function asked(settings: Settings, service: string, console: Console): Promise<Outcome> {
  const journal = openState(settings.stateDir)
  try {
    const about = { journal, stateDir: settings.stateDir, console }
    const [outcome] = await askDaemon(about, [{ kind: 'rollback', service }])
    return outcome as Outcome
  } finally {
    journal.close()
  }
}

async function here(settings: Settings, service: string, console: Console): Promise<Outcome> {
  using stop = stopSignal(console)
  using _lock = takeLock(settings.stateDir, 'samovar rollback')
  const parts = await buildParts(settings, stop.signal)
  using progress = screenProgress(console)
  const options: PassOptions = {
    services: [],
    now: false,
    stopping: stop.signal,
    hint: new EventTarget(),
    progress,
    busy: () => undefined,
    ended: (operation) => {
      for (const line of endLines(console, operation)) console.line(line)
    },
  }
  try {
    await recover(parts, newMemory(), options)
    return outcomeOfOperation(await rollBack(parts, options, service))
  } finally {
    await parts.close()
  }
}
