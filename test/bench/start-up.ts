import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { tempFolder } from '../rig/temp-folder.ts'
import { type Figures, median, spread } from './figures.ts'

const cli = join(resolve(import.meta.dirname, '../../reconciler'), 'cli.ts')

/** What a person waits for before anything is said; in turns with a Node that does nothing. */
export async function measureStartUp(runs: number): Promise<Figures> {
  await using state = await tempFolder('bench-start')
  await using cache = await tempFolder('bench-cache')
  const environment = { SAMOVAR_STATE_DIR: state.path, SAMOVAR_REPOSITORY: state.path, NO_COLOR: '1' }
  const commands = {
    'node -e 0': { args: ['-e', '0'], cached: false },
    'samovar --help': { args: [cli, '--help'], cached: false },
    'samovar status': { args: [cli, 'status'], cached: false },
    'samovar --help, NODE_COMPILE_CACHE': { args: [cli, '--help'], cached: true },
    'samovar status, NODE_COMPILE_CACHE': { args: [cli, 'status'], cached: true },
  }
  const seen: Record<string, number[]> = {}
  // The first round is not counted: it fills the cache of compiled modules and reads the files from the disk.
  for (let at = 0; at <= runs; at += 1) {
    for (const [name, { args, cached }] of Object.entries(commands)) {
      const ms = await timed(args, cached ? { ...environment, NODE_COMPILE_CACHE: cache.path } : environment)
      if (at > 0) (seen[name] ??= []).push(ms)
    }
  }
  const bare = median(seen['node -e 0'] ?? [])
  const rows = Object.entries(seen).map(([what, times]) => ({
    what,
    is: `${spread(times, 'ms', 0)}, ${(median(times) / bare).toFixed(1)} of node's own`,
  }))
  return {
    name: 'start',
    title: 'Start-up time of the command line',
    rows,
    note: `Median and range of ${runs} runs in turns, from the start of the process to its end. status with a state directory that is empty.`,
    values: { runs, ...seen },
  }
}

function timed(args: string[], environment: Record<string, string>): Promise<number> {
  const began = performance.now()
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'], ...environment },
    stdio: 'ignore',
  })
  return new Promise((resolve_, reject) => {
    child.once('error', reject)
    child.once('exit', () => resolve_(performance.now() - began))
  })
}
