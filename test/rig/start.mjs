// The one plain JavaScript file: it runs on any Node >= 20 and without node_modules, because it is what brings both.
// Usage: node test/rig/start.mjs FILE.ts [ARGUMENT...]
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(fileURLToPath(import.meta.url), '../../..')
const bin = join(root, 'node_modules', '.bin')
const [file, ...args] = process.argv.slice(2)

if (file === undefined)
  stop('start.mjs: which TypeScript file shall run? Usage: node test/rig/start.mjs FILE.ts [ARGUMENT...]')
if (Number.parseInt(process.versions.node, 10) < 20) {
  stop(`Node ${process.versions.node} is too old to set up the rest: install Node 20 or later.`)
}
if (!isInstalled()) install()

const environment = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` }
const child = spawn(node24(), [join(root, file), ...args], { stdio: 'inherit', env: environment })
// Ctrl-C reaches the whole process group; whoever works there cleans up, and this one waits for it.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill('SIGTERM'))
child.once('error', (error) => stop(`${file} could not be started: ${error.message}`))
child.once('exit', (code, signal) => process.exit(signal === null ? code : signal === 'SIGINT' ? 130 : 143))

/** Installed is what npm has written its own record of after package-lock.json last changed. */
function isInstalled() {
  const record = join(root, 'node_modules', '.package-lock.json')
  return existsSync(record) && statSync(record).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
}

function install() {
  console.error('npm ci (node_modules is missing or older than package-lock.json)')
  const before = performance.now()
  const npm = process.env.npm_execpath
  const [program, ...first] = npm === undefined ? ['npm'] : [process.execPath, npm]
  // With the development tools also where NODE_ENV is production: Node 24 is one of them.
  const arguments_ = [...first, 'ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  const finished = spawnSync(program, arguments_, { cwd: root, stdio: ['ignore', 2, 2] })
  if (finished.status !== 0) {
    stop(
      `npm ci failed (${finished.error?.message ?? `exit code ${finished.status}`}): its last lines say why.`,
    )
  }
  console.error(`npm ci: ${((performance.now() - before) / 1000).toFixed(1)} s`)
}

/** The Node of the npm package `node`; this very one where that has none for the platform and this is new enough. */
function node24() {
  const own = join(bin, 'node')
  if (spawnSync(own, ['--version']).status === 0) return own
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 24 || (major === 24 && minor >= 12)) return process.execPath
  return stop(
    'The npm package `node` brought no Node 24: its install script did not run. `npm rebuild node` tries again; ' +
      'a Node >= 24.12 of this machine does as well.',
  )
}

/** @returns {never} */
function stop(sentence) {
  console.error(sentence)
  process.exit(1)
}
