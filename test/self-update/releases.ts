import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What a pretended release does when it is started; `fine` serves as Samovar does. */
export type Behaviour =
  | 'fine'
  | 'ends at once'
  | 'never ready'
  | 'says another version'
  | 'ready for a moment'
  | 'slow'

export type Doctor = { name: string; ok: boolean; said: string }[]

export type Made = {
  version: string
  behaviour?: Behaviour
  doctor?: Doctor
  /** What `--version` prints. */
  says?: string
  /** Folder of the real Samovar, for what a service under systemd needs of it: notifications, `self-update`. */
  serves?: string
}

/**
 * A folder that looks like a release and answers as one, over HTTP and on the command line: what the update judges,
 * without the stack that the real one needs. The real one is in test/end-to-end/self-update.test.ts.
 */
export function makeRelease(folder: string, made: Made): string {
  const { version, behaviour = 'fine', doctor = [], says = version, serves } = made
  mkdirSync(join(folder, 'reconciler'), { recursive: true })
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'samovar', version, type: 'module' }))
  writeFileSync(
    join(folder, 'reconciler/cli.ts'),
    `import { appendFileSync, existsSync, mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
const [verb] = process.argv.slice(2)
const behaviour: string = ${JSON.stringify(behaviour)}
if (verb === '--version') console.log(${JSON.stringify(says)})
else if (verb === 'doctor') console.log(JSON.stringify({ ok: true, checks: ${JSON.stringify(doctor)} }))
else if (verb === 'self-update') await import(${JSON.stringify(`${serves}/reconciler/cli.ts`)})
else if (behaviour === 'ends at once' || existsSync('/var/lib/samovar/crash-${version}')) process.exit(1)
else if (existsSync('/var/lib/samovar/not-now')) {
  appendFileSync('/var/lib/samovar/not-now', '.')
  process.exit(75)
} else {
  const version = behaviour === 'says another version' ? '0.0.9' : ${JSON.stringify(version)}
  const began = Date.now()
  if (behaviour === 'slow') await new Promise((resolve) => setTimeout(resolve, 4_000))
  const server = createServer((request, response) => {
    if (request.url === '/writes') return void response.end(JSON.stringify({ writes: writes() }))
    const late = behaviour === 'ready for a moment' && Date.now() - began > 300
    if (late) process.exit(1)
    const ready = behaviour !== 'never ready'
    response.writeHead(ready ? 200 : 503, { connection: 'close' })
    response.end(JSON.stringify({ ready, version, reason: ready ? null : 'the first pass is not over yet' }))
  })
  server.listen(Number(process.env['PORT']), '127.0.0.1', () => void tellSystemd())
  process.on('SIGTERM', () => process.exit(0))
}
async function tellSystemd() {
  const socket = process.env['NOTIFY_SOCKET']
  if (socket === undefined) return
  const { openSystemd } = await import(${JSON.stringify(`${serves}/reconciler/systemd.ts`)})
  openSystemd({
    socket,
    watchdogMs: Number(process.env['WATCHDOG_USEC']) / 1000,
    environment: process.env,
    status: () => 'quiet',
    hangs: () => (existsSync('/var/lib/samovar/hang') ? 'a step' : null),
    log: console.error,
  }).ready()
}
function writes() {
  const places = ['/var/lib/samovar', '/run/samovar', '/tmp', '/var/backups', '/opt/samovar', '/etc', '/usr', '/root']
  return Object.fromEntries(
    places.map((place) => {
      try {
        mkdtempSync(place + '/samovar-test-')
        return [place, true]
      } catch {
        return [place, false]
      }
    }),
  )
}
`,
  )
  return folder
}
