import { writeSync } from 'node:fs'
import { takeLock } from '../../reconciler/journal/lock.ts'
import { newMemory } from '../../reconciler/look.ts'
import { buildParts } from '../../reconciler/parts.ts'
import { type PassReport, pass } from '../../reconciler/reconcile.ts'
import type { Progress } from '../../reconciler/rollout/step.ts'
import { readSettings } from '../../reconciler/settings.ts'
import type { Line } from './child.ts'

/**
 * One process as `samovar apply --now` is one: the lock, then passes. It tells each point it reaches on stdout, at
 * once, and kills itself without a word where CRASH_AT says so: at the n-th point (from 1), or `pull` for the middle of a
 * download.
 */
const crashAt = process.env['CRASH_AT'] ?? ''
const passes = Number(process.env['PASSES'] ?? '1')

const tell = (line: Line): void => void writeSync(1, `${JSON.stringify(line)}\n`)
const die = (): void => void process.kill(process.pid, 'SIGKILL')

let points = 0
const progress: Progress = {
  step(operation, name, phase) {
    points += 1
    tell({ point: `${operation.kind}: ${name} ${phase}` })
    if (String(points) === crashAt) die()
  },
  pull() {
    if (crashAt === 'pull') die()
  },
  health() {},
}

function short({ operations, plan, findings }: PassReport): Line {
  return {
    operations: operations.map(({ id, service, kind, result, reason, attempts }) => ({
      ...{ id, service, kind, result, reason, attempts },
    })),
    plan: (plan?.changes ?? []).map(({ service, action, held }) => ({ service, action, held })),
    findings: findings.map((finding) => finding.message),
  }
}

const settings = readSettings({ repository: true })
using _lock = takeLock(settings.stateDir, 'crash test')
const parts = await buildParts(settings)
const memory = newMemory()
for (let done = 0; done < passes; done += 1) {
  const report = await pass(parts, memory, {
    services: [],
    now: true,
    stopping: new AbortController().signal,
    hint: new EventTarget(),
    progress,
    busy: () => {},
  })
  tell(short(report))
}
await parts.close()
