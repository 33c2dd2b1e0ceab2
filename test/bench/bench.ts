import { parseArgs } from 'node:util'
import setUp from '../rig/global-setup.ts'
import { measureBackup } from './backup.ts'
import { type Figures, table } from './figures.ts'
import { measureGate } from './gate.ts'
import { measureMemory } from './memory.ts'
import { measureQuietPass } from './quiet-pass.ts'
import { measureStartUp } from './start-up.ts'
import { measureSwap } from './swap.ts'

/**
 * `npm run bench`: measures on the real engine what docs/figures.md tells of. No test asserts a time; this only prints.
 * Usage: bench.ts [pass] [swap] [memory] [start] [gate] [backup] [--json] [--services N] [--passes N] [--pairs N]
 *   [--gigabytes N] [--scale N] [--files N]
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    services: { type: 'string', default: '100' },
    passes: { type: 'string', default: '15' },
    /** 11, of backup 3. */
    pairs: { type: 'string' },
    gigabytes: { type: 'string', default: '2' },
    scale: { type: 'string', default: '50' },
    files: { type: 'string', default: '100000' },
  },
})
const benchmarks: Record<string, () => Promise<Figures>> = {
  pass: () => measureQuietPass(Number(values.services), Number(values.passes)),
  memory: () => measureMemory(20, Number(values.passes)),
  start: () => measureStartUp(Number(values.passes)),
  swap: () => measureSwap(Number(values.pairs ?? 11)),
  gate: () => measureGate(Number(values.pairs ?? 15)),
  backup: () =>
    measureBackup({
      pairs: Number(values.pairs ?? 3),
      scale: Number(values.scale),
      files: Number(values.files),
      gigabytes: Number(values.gigabytes),
    }),
}
const unknown = positionals.filter((name) => !(name in benchmarks))
if (unknown.length > 0) {
  console.error(
    `There is no benchmark ${unknown.join(', ')}; there are ${Object.keys(benchmarks).join(', ')}.`,
  )
  process.exit(2)
}
const chosen = positionals.length > 0 ? positionals : Object.keys(benchmarks)
const stop = await setUp()
try {
  const all: Figures[] = []
  for (const name of chosen) {
    const figures = await benchmarks[name]?.()
    if (figures === undefined) continue
    all.push(figures)
    if (!values.json) console.log(table(figures))
  }
  if (values.json) console.log(JSON.stringify(all, null, 2))
} finally {
  await stop()
}
