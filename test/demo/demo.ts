import { startRig } from '../rig/rig.ts'
import { brokenAct, bumpAct, driftAct, firstAct } from './acts.ts'
import { dataAct } from './data-act.ts'
import { type Probe, startProbe } from './probe.ts'
import { figuresTable, makeScreen, type Row } from './screen.ts'
import { lastLines, type Stage, setStage } from './stage.ts'

/**
 * `npm run demo`: the main job on a real engine, in front of a pretend user who counts every failed request. The exit
 * code is 0 only if everything that is said was also checked; 130 or 143 after Ctrl-C or SIGTERM.
 * Usage: demo.ts [--keep]
 */
const screen = makeScreen()
const stopping = new AbortController()
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)
  process.on(signal, () => stop(code, 'cleaning up'))
// Who reads our lines may go away (`npm run demo | head`); what runs must still be cleaned up.
process.stdout.on('error', () => stop(141, ''))

process.exit(await main())

function stop(code: number, why: string): void {
  if (stopping.signal.aborted) return
  stopping.abort(code)
  if (why !== '') console.error(`\n${why}; this takes a few seconds`)
}

async function main(): Promise<number> {
  const unknown = process.argv.slice(2).filter((one) => one !== '--keep')
  if (unknown.length > 0) {
    console.error(`unknown: ${unknown.join(' ')}. Usage: npm run demo [-- --keep]`)
    return 1
  }
  const stopped = new Promise<number>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(Number(stopping.signal.reason)))
  })
  try {
    await using stack = new AsyncDisposableStack()
    const stage = await setUp(stack)
    if (stopping.signal.aborted) return await stopped
    const played = play(stack, stage).catch((error: unknown) => tellFailure(stage, error))
    const code = await Promise.race([played, stopped])
    if (!process.argv.includes('--keep') || code !== 0) return code
    screen.plain(commandsToPlayOn(stage))
    await stopped
    return 0
  } catch (error) {
    console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`)
    return stopping.signal.aborted ? Number(stopping.signal.reason) : 1
  }
}

async function setUp(stack: AsyncDisposableStack): Promise<Stage> {
  screen.plain('Samovar: what Git says runs, and what does not work goes back.')
  screen.act('Set-up: engine, registry, Git server')
  const rig = stack.adopt(await startRig((line) => screen.line(line)), (started) => started.stop())
  process.env['SAMOVAR_TEST_RUN'] = rig.run
  return stack.use(await setStage(rig))
}

async function play(stack: AsyncDisposableStack, stage: Stage): Promise<number> {
  const began = performance.now()
  await firstAct({ stage, screen })
  const probe: Probe = stack.adopt(startProbe(stage.door), (started) => started.stop())
  const scene = { stage, probe, screen }
  const rows: Row[] = [
    await bumpAct(scene),
    await brokenAct(scene),
    await dataAct(scene),
    ...(await driftAct(scene)),
  ]
  for (const verb of ['status', 'history', 'backups'] as const) {
    screen.act(`samovar ${verb}`)
    await stage.show(verb)
  }
  screen.act('What a user noticed, asking every 20 ms')
  for (const line of figuresTable(rows)) screen.plain(line)
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  screen.plain(`\nAll of this was checked and true. ${seconds} s after set-up.`)
  return 0
}

function tellFailure(stage: Stage, error: unknown): number {
  if (!stopping.signal.aborted) {
    console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`)
    console.error(`The last lines of the daemon:\n${lastLines(stage.daemonLog)}`)
  }
  return 1
}

/** Everything a second terminal needs, ready to be copied. */
function commandsToPlayOn(stage: Stage): string {
  // Of PATH only what was put in front of it.
  const path = stage.environment['PATH']?.replace(process.env['PATH'] ?? '', '$PATH')
  const exports = Object.entries({ ...stage.environment, PATH: path }).map(
    ([name, value]) => `export ${name}="${value}"`,
  )
  return `
It goes on running until Ctrl-C. In a second terminal, in this folder:

${exports.join('\n')}
npm run --silent samovar -- status
curl -s ${stage.door}

git clone ${stage.repository} /tmp/demo-host
sed -i 's/^tag: .*/tag: 1.2.0/' /tmp/demo-host/desired-state/services/web.yaml
git -C /tmp/demo-host commit -qam 'web: 1.2.0' && git -C /tmp/demo-host push
npm run --silent samovar -- apply     # or wait a minute

web has 1.0.0 1.1.0 1.2.0 (good), 1.3.0 (good, ignores SIGTERM), 2.0.0 (answers 503), 2.1.0 (ends at once),
2.2.0 (listens after 5 s), 2.3.0 (falls ill after 5 s). The daemon's log: ${stage.daemonLog}`
}
