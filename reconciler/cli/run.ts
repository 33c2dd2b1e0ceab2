import { readSettings } from '../settings.ts'
import { exit, type Verb } from './verb.ts'

export const runVerb: Verb = {
  name: 'run',
  usage: '',
  summary: 'the daemon: a pass whenever Git or the host has moved, and HTTP for those who watch',
  about:
    'Follows Git (`poll` in host.yaml) and the events of the engine until it is told to end. Serves /livez, /readyz,\n/metrics and /api/{status,plan,history,backups} at SAMOVAR_LISTEN. Logs to stderr (LOG_LEVEL). SIGTERM or Ctrl-C ends\nit: the current step is finished or safely cut; a second signal ends it at once.',
  exits: [
    [exit.fine, 'it was told to end'],
    [exit.error, 'it failed'],
    [
      exit.notNow,
      'not now: settings, address, Compose, or another Samovar works here; the release is not to blame',
    ],
  ],
  exitOn: {
    'settings-invalid': exit.notNow,
    'state-locked': exit.notNow,
    'compose-unavailable': exit.notNow,
  },
  options: {},
  optionTexts: {},
  names: [0, 0],
  json: false,
  run: async () => {
    const settings = readSettings({ repository: true })
    // The other verbs do without the HTTP server and the metrics.
    const { runDaemon } = await import('../main.ts')
    await runDaemon(settings, (line) => process.stderr.write(`${line}\n`))
    // A step that was cut may still hold a connection; nothing of it is waited for.
    process.exit(exit.fine)
  },
}
