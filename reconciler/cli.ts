#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { stateFolder, takeEnvironmentFile, wholeEnvironment } from './settings.ts'

try {
  // NODE_EXTRA_CA_CERTS and its like are read when Node starts.
  if (takeEnvironmentFile())
    process.execve?.(
      process.execPath,
      [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
      wholeEnvironment(),
    )
} catch (error) {
  process.stderr.write(
    `samovar: ${error instanceof Error ? error.message : String(error)}\nnext: run this as root\n`,
  )
  process.exit(1)
}

// Compiled code is kept beside the journal, where only Samovar may write: half of the start-up time and 19 MB of the
// daemon's memory were the compiling. A state directory is not made for it: `validate` leaves nothing behind.
if (existsSync(stateFolder())) enableCompileCache(join(stateFolder(), 'compile-cache'))
const { commandLine } = await import('./cli/command-line.ts')

// Whoever reads (a pager, `head`) may leave early.
process.stdout.on('error', () => process.exit(1))
process.exitCode = await commandLine(process.argv.slice(2))
