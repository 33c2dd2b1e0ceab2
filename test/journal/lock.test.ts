import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { takeLock } from '../../reconciler/journal/lock.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { until } from '../rig/until.ts'

const lockModule = join(import.meta.dirname, '../../reconciler/journal/lock.ts')

/** Another process that holds the lock until it is killed. */
const otherProcess = (stateDir: string) => {
  const script = `import { takeLock } from ${JSON.stringify(lockModule)}
takeLock(${JSON.stringify(stateDir)}, 'samovar run'); console.log('held'); setInterval(() => {}, 1000)`
  return spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

test('one process holds the lock, and who finds it taken is told by whom', async () => {
  await using folder = await tempFolder('lock')
  const other = otherProcess(folder.path)
  try {
    await until('the other process holds the lock', async () => tryLock(folder.path) !== 'free', {
      withinMs: 10_000,
    })
    const said = tryLock(folder.path)
    expect(said).toContain('samovar run')
    expect(said).toContain(`pid ${other.pid}`)
  } finally {
    other.kill('SIGKILL')
  }
})

test('a lock never outlives its process, also when that is killed', async () => {
  await using folder = await tempFolder('lock-killed')
  const other = otherProcess(folder.path)
  await new Promise((resolve) => other.stdout.once('data', resolve))
  expect(tryLock(folder.path)).toContain('samovar run')
  other.kill('SIGKILL')
  await new Promise((resolve) => other.once('exit', resolve))
  expect(tryLock(folder.path)).toBe('free')
})

test('a released lock can be taken again in the same process', async () => {
  await using folder = await tempFolder('lock-released')
  const lock = takeLock(folder.path, 'samovar apply')
  expect(tryLock(folder.path)).toContain('samovar apply')
  lock.release()
  expect(tryLock(folder.path)).toBe('free')
})

function tryLock(stateDir: string): string {
  try {
    takeLock(stateDir, 'a test').release()
    return 'free'
  } catch (error) {
    return (error as Error).message
  }
}
