import { realClock } from '../../reconciler/health/clock.ts'
import { goBackOnce, selfUpdate, type UpdatePlace } from '../../reconciler/self-update/update.ts'

/**
 * An update in a process of its own that kills itself at a moment it is told: `WHAT begun` or `WHAT done`, the how
 * manieth. It is SIGKILL, so nothing is tidied up.
 */
const { place, release, sha256, killAt, back } = JSON.parse(process.argv[2] ?? '') as {
  place: Omit<UpdatePlace, 'environment'>
  release: string
  sha256: string | null
  killAt: number | null
  back: boolean
}
let moments = 0
const told = {
  ...place,
  environment: process.env,
  clock: realClock,
  now: Date.now,
  tell(what: string, phase: 'begun' | 'done') {
    process.stderr.write(`${what} ${phase}\n`)
    if (moments++ === killAt) process.kill(process.pid, 'SIGKILL')
  },
}
try {
  const record = back ? await goBackOnce(told, 'it crashed') : await selfUpdate(told, { release, sha256 })
  process.stdout.write(JSON.stringify(record))
} catch (error) {
  process.stdout.write(JSON.stringify({ error: (error as { code?: string }).code, message: String(error) }))
  process.exitCode = 1
}
