import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run } from './process.ts'
import { removeKilledRuns } from './rig.ts'

/**
 * What `npm test` and `npm run check` do: format, lint, types, tests; a line with its time for each stage. The
 * last line is `N passed, N failed, N skipped` and counts tests; the exit code is 0 only if every stage passed.
 * Usage: check.ts [--without-engine] [arguments for vitest]
 */
const root = resolve(import.meta.dirname, '../..')
const bin = (program: string) => join(root, 'node_modules', '.bin', program)

type Counts = { passed: number; failed: number; skipped: number }
type JsonReport = {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numTodoTests: number
  testResults: { status: string; assertionResults: { status: string }[] }[]
}

const args = process.argv.slice(2)
const failedStages: string[] = []
await stage('format', 'biome', ['ci', '--colors=off', '.'])
await stage('lint', 'oxlint', ['--type-aware', '--deny-warnings'])
await stage('types', 'tsc', ['-p', '.'])
const counts = await tests(args)
if (failedStages.length > 0) console.log(`failed: ${failedStages.join(', ')}`)
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = failedStages.length === 0 ? 0 : 1

async function stage(name: string, program: string, stageArgs: string[]): Promise<void> {
  const before = performance.now()
  const finished = await run(bin(program), stageArgs, { cwd: root })
  const isFine = finished.exitCode === 0
  if (!isFine) console.log(`${finished.stdout}${finished.stderr}`.trim())
  report(name, program, isFine, before)
}

function report(name: string, program: string, isFine: boolean, before: number): void {
  if (!isFine) failedStages.push(name)
  const time = ((performance.now() - before) / 1000).toFixed(1)
  console.log(
    `${name.padEnd(8)}${program.padEnd(10)}${isFine ? 'ok' : 'FAILED'.padEnd(2)} ${time.padStart(8)} s`,
  )
}

async function tests(given: string[]): Promise<Counts> {
  const before = performance.now()
  const folder = mkdtempSync(join(tmpdir(), 'samovar-check-'))
  const file = join(folder, 'results.json')
  const chosen = given.filter((one) => one !== '--without-engine')
  const vitestArgs = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...chosen]
  if (given.includes('--without-engine')) vitestArgs.push('--project', 'unit')
  try {
    const exitCode = await inherit(bin('vitest'), vitestArgs)
    report('tests', 'vitest', exitCode === 0, before)
    // After Ctrl-C vitest ends without calling what stops the rig.
    await removeKilledRuns((line) => console.log(line))
    return countsOf(file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function inherit(program: string, programArgs: string[]): Promise<number> {
  const child = spawn(program, programArgs, { cwd: root, stdio: 'inherit' })
  // Ctrl-C reaches vitest too, which then stops what the rig started; this one waits for it.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  return new Promise((resolve_, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve_(code ?? 1))
  })
}

/** A test file that could not even be loaded counts as one failed. */
function countsOf(file: string): Counts {
  let results: JsonReport
  try {
    results = JSON.parse(readFileSync(file, 'utf8')) as JsonReport
  } catch {
    console.log('vitest ended without results: the lines above say why.')
    return { passed: 0, failed: 0, skipped: 0 }
  }
  const unloaded = results.testResults.filter(
    (one) => one.status === 'failed' && one.assertionResults.every((test) => test.status !== 'failed'),
  )
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + unloaded.length,
    skipped: results.numPendingTests + results.numTodoTests,
  }
}
