import { writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { VerifyLevel } from '../../reconciler/backup/manifest.ts'
import { backUpServices, restoreBackup, verifyBackups } from '../../reconciler/data-operations.ts'
import { takeLock } from '../../reconciler/journal/lock.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import { newMemory } from '../../reconciler/look.ts'
import { buildParts } from '../../reconciler/parts.ts'
import { type PassReport, pass } from '../../reconciler/reconcile.ts'
import type { Progress } from '../../reconciler/rollout/step.ts'
import { readSettings } from '../../reconciler/settings.ts'
import type { PassOptions } from '../../reconciler/work.ts'
import type { Line } from './child.ts'

/**
 * One process as `samovar apply --now` is one: the lock, then passes; or as `samovar backup`, `verify` and `restore`
 * are, when OPERATION names one. It tells each point it reaches on stdout, at once, and kills itself without a word
 * where CRASH_AT says so: at the n-th point (from 1) or CRASH_LATER milliseconds after it, or `pull` for the middle of
 * a download.
 */
const crashAt = process.env['CRASH_AT'] ?? ''
const crashLater = Number(process.env['CRASH_LATER'] ?? '0')
const passes = Number(process.env['PASSES'] ?? '1')
const [verb = '', argument = ''] = (process.env['OPERATION'] ?? '').split(' ')

const tell = (line: Line): void => void writeSync(1, `${JSON.stringify(line)}\n`)
const die = (): void => void process.kill(process.pid, 'SIGKILL')

let points = 0
const progress: Progress = {
  step(operation, name, phase, ms) {
    points += 1
    tell({ point: `${operation.kind}: ${name} ${phase}`, ms })
    if (String(points) !== crashAt) return
    if (crashLater === 0) die()
    else setTimeout(die, crashLater)
  },
  pull() {
    if (crashAt === 'pull') die()
  },
  health() {},
  data() {},
}

const options: PassOptions = {
  services: [],
  now: true,
  stopping: new AbortController().signal,
  hint: new EventTarget(),
  progress,
  busy: () => {},
}

const shortOf = (operations: Operation[]) =>
  operations.map(({ id, service, kind, result, reason, attempts }) => ({
    ...{ id, service, kind, result, reason, attempts },
  }))

function short({ operations, plan, findings }: PassReport): Line {
  return {
    operations: shortOf(operations),
    plan: (plan?.changes ?? []).map(({ service, action, held }) => ({ service, action, held })),
    findings: findings.map((finding) => finding.message),
  }
}

const settings = readSettings({ repository: true })
using _lock = takeLock(settings.stateDir, 'crash test')
const parts = await buildParts(settings)
const memory = newMemory()

async function operate(): Promise<Operation[]> {
  const asked = { parts, memory, options }
  if (verb === 'backup') return backUpServices(asked, [], 'manual')
  if (verb === 'verify') return verifyBackups(asked, null, Number(argument) as VerifyLevel)
  return [await restoreBackup(asked, { id: argument, service: null, safety: true })]
}

if (verb !== '') tell({ operations: shortOf(await operate()), plan: [], findings: [] })
else for (let done = 0; done < passes; done += 1) tell(short(await pass(parts, memory, options)))
// A kill that comes a little after the last point still finds the process.
if (crashLater > 0 && points >= Number(crashAt)) await pause(crashLater)
await parts.close()
