import { parseDuration } from '../desired-state/quantities.ts'
import { SamovarError } from '../errors.ts'
import { durationInWords, realClock } from '../health/clock.ts'
import type { UpdateRecord } from '../self-update/record.ts'
import { goBackOnce, selfUpdate, type UpdatePlace } from '../self-update/update.ts'
import { readSettings } from '../settings.ts'
import { type Console, printable } from './console.ts'
import { type Call, type ExitCode, exit, type Verb } from './verb.ts'

export const selfUpdateVerb: Verb = {
  name: 'self-update',
  usage: '[RELEASE]',
  summary: 'update Samovar itself to RELEASE, and go back when it is not ready',
  about:
    'RELEASE is a folder of Samovar with its node_modules, or a .tar.gz of one; nothing is fetched from elsewhere. It is\nunpacked beside the one that runs, checked with its own `doctor` against the live state, and started. When it is not\nready in time, the release before is started again. Not for the daemon: a process of its own (samovar-update@.service).\nCut short, call it again with the same RELEASE. Where Samovar is installed says SAMOVAR_INSTALL_DIR (/opt/samovar).',
  exits: [
    [exit.fine, 'the new release runs and is ready; with --back: the one before does'],
    [exit.error, 'refused: what runs was not touched'],
    [exit.reverted, 'the new release was not ready, the one before was started again'],
  ],
  options: {
    sha256: { type: 'string' },
    wait: { type: 'boolean' },
    within: { type: 'string' },
    steady: { type: 'string' },
    'restart-command': { type: 'string' },
    back: { type: 'boolean' },
  },
  optionTexts: {
    '--sha256 HEX': 'of the .tar.gz file, which is refused without it',
    '--wait': 'wait up to 2 h for a roll-out that runs, instead of refusing',
    '--within 3m': 'how long the restarted Samovar may take until it is ready',
    '--steady 10s': 'how long it must then stay ready',
    '--restart-command C': 'instead of systemctl restart samovar; also SAMOVAR_RESTART_COMMAND',
    '--back': 'without RELEASE: to the release before, once; for samovar-back.service',
  },
  names: [0, 1],
  json: true,
  run: async (call) => {
    const { names, options, console } = call
    const [release] = names
    const place = placeOf(call)
    if (options['back'] === true) {
      if (release !== undefined) throw wrong('--back takes no RELEASE')
      const record = await goBackOnce(place, 'the service ended again and again')
      const code = told(console, record)
      // Going back was what was asked for.
      return record?.phase === 'reverted' ? exit.fine : code
    }
    if (release === undefined) throw wrong('RELEASE is missing')
    const sha256 = typeof options['sha256'] === 'string' ? options['sha256'] : null
    return told(console, await selfUpdate(place, { release, sha256 }))
  },
}

const wrong = (sentence: string): SamovarError =>
  new SamovarError('update-refused', sentence, { next: 'samovar self-update --help' })

function placeOf({ options, console }: Call): UpdatePlace {
  const settings = readSettings({ repository: false })
  const { installDir, restartCommand } = settings.ownService
  const { host, port } = settings.listen
  const command = options['restart-command']
  return {
    root: installDir,
    stateDir: settings.stateDir,
    url: `http://${reachable(host)}:${port}`,
    restart: typeof command === 'string' ? command : restartCommand,
    withinMs: durationOf(options, 'within', '3m'),
    backWithinMs: durationOf(options, 'within', '3m'),
    steadyMs: durationOf(options, 'steady', '10s'),
    waitMs: options['wait'] === true ? 2 * 60 * 60_000 : 0,
    environment: settings.environment,
    clock: realClock,
    now: Date.now,
    tell(what, phase) {
      if (phase === 'begun') console.live(what)
      else console.line(console.paint('dim', `  ${what}`))
    },
  }
}

/** The address that the daemon listens at, for a call from this host. */
function reachable(host: string): string {
  if (host === '' || host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

function durationOf(options: Call['options'], name: string, otherwise: string): number {
  const text = options[name] ?? otherwise
  const milliseconds = typeof text === 'string' ? parseDuration(text) : null
  if (milliseconds !== null) return milliseconds
  throw wrong(`--${name} is "${String(text)}"; expected a duration such as ${otherwise}`)
}

function told(console: Console, record: UpdateRecord | null): ExitCode {
  console.document(record ?? { phase: 'left-alone' })
  if (record === null) {
    console.line('an update of Samovar runs; it goes back by itself when it has to')
    return exit.fine
  }
  const { phase, from, to, reason, startedAt, endedAt } = record
  const took = durationInWords((endedAt ?? startedAt) - startedAt)
  if (phase === 'kept') {
    console.line(
      `${console.paint('green', to)} ${from === to ? `runs: ${reason}` : `runs, after ${from} (${took})`}`,
    )
    return exit.fine
  }
  if (phase === 'reverted') {
    console.problem(`${console.paint('red', 'went back')} from ${to} to ${from}: ${printable(reason)}`)
    console.problem(`next: journalctl -u samovar has what ${to} said; ${from} runs as before`)
  } else {
    console.problem(`${console.paint('red', 'stuck')} between ${to} and ${from}: ${printable(reason)}`)
    console.problem(
      'next: systemctl status samovar; the containers run on without it. `current` names the release before',
    )
  }
  return exit.reverted
}
