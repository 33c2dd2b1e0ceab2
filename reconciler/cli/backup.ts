import { backUpServices } from '../data-operations.ts'
import { readSettings } from '../settings.ts'
import { exitOf } from './apply.ts'
import { doOperations } from './do-operations.ts'
import { exit, type Verb } from './verb.ts'

export const backupVerb: Verb = {
  name: 'backup',
  usage: '[SERVICE...]',
  summary: 'back up the data of services now, and prove it',
  about:
    'Copies the data of the named services (of all that have data when none is named) to every store of host.yaml and reads\nit back. Services stand still meanwhile as `backup: { while: ... }` says. Services that share data are one backup.',
  exits: [
    [exit.fine, 'every backup is in every required store and was read back whole'],
    [exit.error, 'one could not be taken or proven; the services run as before'],
    [exit.reverted, 'a service that was stopped for it could not be started again'],
  ],
  options: {},
  optionTexts: {},
  names: [0, 1000],
  json: true,
  run: async ({ names, console }) => {
    const settings = readSettings({ repository: true })
    const outcome = await doOperations(
      { settings, console, verb: 'samovar backup' },
      {
        kind: 'backup',
        service: names.length === 1 ? (names[0] ?? null) : null,
        argument: { services: names },
      },
      (asked) => backUpServices(asked, names, 'manual'),
    )
    console.document(outcome)
    if (outcome.operations.length === 0)
      console.line('nothing to back up: no service of the desired state names `data:`')
    return exitOf(outcome)
  },
}
