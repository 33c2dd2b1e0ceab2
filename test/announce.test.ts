import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { announcePass, announcing } from '../reconciler/announce.ts'
import type { Operation } from '../reconciler/journal/operation.ts'
import type { Outlook } from '../reconciler/look.ts'
import { firstPlans } from '../reconciler/pull-requests/first-plans.ts'
import type { PassReport } from '../reconciler/reconcile.ts'
import { readSettings } from '../reconciler/settings.ts'
import type { PassOptions } from '../reconciler/work.ts'
import { change, plan, running, standing, target } from './plan/given.ts'
import { openStage, type Stage } from './stories/stage.ts'

let stage: Stage
beforeEach(async () => {
  stage = await openStage()
  await stage.rollOut(stage.publish('web', '1.0.0'), { health: { soak: 0 } })
})
afterEach(() => stage[Symbol.asyncDispose]())

const gitea = { SAMOVAR_GITEA_URL: 'https://git.example.com', SAMOVAR_GITEA_TOKEN: 'token' }
const parts = (environment: Record<string, string> = gitea) => ({
  journal: stage.journal,
  now: stage.now,
  settings: readSettings({ repository: false }, environment),
})

/** The options of a pass, and what it heard by itself. */
function passOptions(heard: string[] = []): PassOptions {
  return {
    services: [],
    now: false,
    stopping: new AbortController().signal,
    hint: new EventTarget(),
    progress: {
      step: (_operation, name, phase) => heard.push(`${name} ${phase}`),
      pull: () => {},
      health: () => {},
      data: () => {},
    },
    busy: () => {},
    looked: () => heard.push('looked'),
    ended: () => heard.push('ended'),
  } as PassOptions
}

/** Rolls a version out as a pass does that tells what it does. */
async function rollOut(
  options: PassOptions,
  tag: string,
  health: 'healthy' | 'unhealthy',
): Promise<Operation> {
  const image = stage.publish('web', tag, { health })
  const done = await stage.rollOut(image, { health: { soak: 0 } }, { progress: options.progress })
  options.ended?.(done)
  return done
}

const waiting = () =>
  stage.journal.waitingMessages().map((each) => {
    const content = JSON.parse(each.content) as { status?: { state: string }; operation?: string }
    return `${each.kind} ${each.slot} ${content.status?.state ?? content.operation}`
  })
/** As if Gitea had been told all of it. */
function deliver(): void {
  for (const each of stage.journal.waitingMessages()) stage.journal.delivered(each, stage.now())
}

const outlook = (commit: string): Outlook => {
  const targets = [target()]
  return {
    commit,
    loaded: { state: { host: { name: 'host.example.com', timezone: 'UTC', jobs: {}, notify: [] } } },
    plan: plan({ commit }),
    considered: {
      commit,
      targets,
      running: [running()],
      looks: new Map(),
      standing: standing(),
      prune: false,
    },
  } as unknown as Outlook
}
const report = (changes: ReturnType<typeof change>[], commit = 'c'.repeat(40)): PassReport => ({
  commit,
  findings: [],
  findingsCommit: null,
  sourceProblem: null,
  plan: { commit, changes, foreign: [] },
  operations: [],
  discarded: [],
  lookedAt: 0,
  at: 0,
})

describe('what a pass does is said', () => {
  test('at its begin once, however many steps it has, and at its end', async () => {
    const heard: string[] = []
    const options = announcing(parts(), passOptions(heard))
    const image = stage.publish('web', '1.1.0')
    const seen: string[][] = []
    const done = await stage.rollOut(
      image,
      { health: { soak: 0 } },
      {
        progress: {
          ...options.progress,
          step(...step) {
            options.progress.step(...step)
            seen.push(waiting())
          },
        },
      },
    )
    expect(new Set(seen.map((each) => each.join()))).toEqual(new Set(['status samovar/web pending']))
    deliver()
    options.ended?.(done)
    expect(waiting()).toEqual(['status samovar/web success'])
    expect(heard).toContain('start begun')
    expect(heard.at(-1)).toBe('ended')
  })

  test('and what was put back is refused, and is to be taken back in the repository, once', async () => {
    const options = announcing(parts(), passOptions())
    const done = await rollOut(options, '2.0.0', 'unhealthy')
    options.ended?.(done)
    expect(waiting()).toEqual(['status samovar/web failure', `revert ${done.id} ${done.id}`])
    expect(stage.journal.refusedVersions('web')).toMatchObject([{ tag: '2.0.0' }])
  })

  test('and what a commit asked for first is kept for its pull request', () => {
    const heard: string[] = []
    const options = announcing(parts(), passOptions(heard))
    options.looked?.(outlook('c0ffee'))
    options.looked?.(outlook('c0ffee'))
    expect([firstPlans(stage.journal).map((each) => each.commit), heard]).toEqual([
      ['c0ffee'],
      ['looked', 'looked'],
    ])
  })
})

describe('without a Gitea', () => {
  test.each([[{}], [{ SAMOVAR_GITEA_URL: 'https://git.example.com' }], [{ SAMOVAR_GITEA_TOKEN: 'token' }]])(
    '(%j) nothing is written down that would be said all at once one day',
    async (environment) => {
      const options = announcing(parts(environment as Record<string, string>), passOptions())
      await rollOut(options, '2.0.0', 'unhealthy')
      options.looked?.(outlook('c0ffee'))
      announcePass(parts(environment as Record<string, string>), report([change({ action: 'none' })]))
      expect([waiting(), stage.journal.refusedVersions('web'), firstPlans(stage.journal)]).toEqual([
        [],
        [],
        [],
      ])
    },
  )
})

describe('after a pass', () => {
  test('the host is told once, as long as nothing changes', () => {
    announcePass(parts(), report([change({ action: 'none' })]))
    // That its last roll-out held nobody had said, as after a process that was killed.
    expect(waiting()).toEqual(['status samovar/web success', 'status samovar/host success'])
    deliver()
    announcePass(parts(), report([change({ action: 'none' })]))
    expect(waiting()).toEqual([])
    announcePass(parts(), report([change({ held: 'waits for window weekly' })]))
    expect(waiting()).toEqual(['status samovar/web pending', 'status samovar/host pending'])
  })

  test('a commit whose roll-out was put back is not called good', async () => {
    await rollOut(announcing(parts(), passOptions()), '2.0.0', 'unhealthy')
    deliver()
    announcePass(parts(), report([change({ held: 'in quarantine' })]))
    expect(waiting()).toEqual(['status samovar/host failure'])
    deliver()
    // Another commit has not failed yet.
    announcePass(parts(), report([change({ action: 'none' })], 'd'.repeat(40)))
    expect(waiting()).toEqual(['status samovar/host success'])
  })
})
