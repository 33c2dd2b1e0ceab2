import { type ComposeCommand, findCompose } from './compose-config.ts'
import { connectDocker } from './engine/docker.ts'
import type { Engine } from './engine/engine.ts'
import { openSource, type Source } from './git/checkout.ts'
import { type Clock, realClock } from './health/clock.ts'
import { type Journal, openJournal } from './journal.ts'
import type { Settings } from './settings.ts'

/** Everything a pass works with. Tests hand in other parts; nothing looks a part up by itself. */
export type Parts = {
  settings: Settings
  engine: Engine
  compose: ComposeCommand
  source: Source
  journal: Journal
  clock: Clock
  /** Milliseconds since 1970. */
  now: () => number
  close(): Promise<void>
}

/** The one place where implementations are chosen. Closes what it opened when a later part cannot be had. */
export async function buildParts(settings: Settings): Promise<Parts> {
  const journal = openJournal(settings.stateDir)
  try {
    const [engine, compose] = await Promise.all([connectDocker(settings.dockerHost), findCompose()])
    const source = openSource({
      repository: settings.repository,
      branch: settings.branch,
      stateDir: settings.stateDir,
      token: () => settings.giteaToken?.reveal(),
      timeoutMs: 60_000,
      environment: settings.environment,
    })
    return {
      settings,
      engine,
      compose,
      source,
      journal,
      clock: realClock,
      now: Date.now,
      async close() {
        await engine.close()
        journal.close()
      },
    }
  } catch (error) {
    journal.close()
    throw error
  }
}
