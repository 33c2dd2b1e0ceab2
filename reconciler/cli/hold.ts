import { rememberedStatus } from '../current-status.ts'
import { SamovarError } from '../errors.ts'
import { lockOwner } from '../journal/lock.ts'
import { everyService } from '../journal/standing.ts'
import type { Journal } from '../journal.ts'
import { openState } from '../parts.ts'
import { readSettings } from '../settings.ts'
import { type Call, type ExitCode, exit, type Verb } from './verb.ts'

const exits: Verb['exits'] = [
  [exit.fine, 'done, also when there was nothing to do'],
  [exit.error, 'there is no such service, or the journal cannot be written'],
]
const plain = { options: {}, optionTexts: {}, json: false, exits } as const

export const retryVerb: Verb = {
  ...plain,
  name: 'retry',
  usage: 'SERVICE',
  summary: 'try again what was reverted, got stuck or waits after a failure',
  about:
    'Lifts the quarantine of SERVICE, and the pause after a failure. The daemon tries again at once. Versions that\nwere reverted, or whose pull request was closed, are proposed again.',
  names: [1, 1],
  run: (call) =>
    change(call, (journal, service) => {
      const lifted = [journal.retry(service), journal.allowVersions(service)]
      return lifted.includes(true)
        ? `${service} may be tried again`
        : `${service} was neither quarantined nor stuck nor waiting: there is nothing to lift`
    }),
}

export const pauseVerb: Verb = {
  ...plain,
  name: 'pause',
  usage: '[SERVICE]',
  summary: 'leave a service, or everything, alone',
  about:
    'Samovar changes nothing of SERVICE until `samovar resume`; without a name, nothing at all.\nA roll-out that has begun is finished.',
  names: [0, 1],
  run: (call) =>
    change(call, (journal, service) => {
      journal.pause(service, Date.now())
      return service === everyService
        ? 'everything is paused; `samovar resume` ends it'
        : `${service} is paused; \`samovar resume ${service}\` ends it`
    }),
}

export const resumeVerb: Verb = {
  ...plain,
  name: 'resume',
  usage: '[SERVICE]',
  summary: 'end a pause',
  about: 'Ends the pause of SERVICE; without a name, every pause.',
  names: [0, 1],
  run: (call) =>
    change(call, (journal, service) => {
      if (service === everyService)
        return journal.resumeAll() ? 'nothing is paused any more' : 'nothing was paused'
      if (journal.resume(service)) return `${service} is not paused any more`
      return journal.paused().includes(everyService)
        ? `${service} is paused with everything else; \`samovar resume\` without a name ends that`
        : `${service} was not paused`
    }),
}

/** The daemon, when one runs, is asked for a pass, so that it happens now and not at the next poll. */
function change(
  { names, console }: Call,
  act: (journal: Journal, service: string) => string,
): Promise<ExitCode> {
  const { stateDir } = readSettings({ repository: false })
  const journal = openState(stateDir)
  try {
    const [service = everyService] = names
    mustExist(journal, service)
    console.line(act(journal, service))
    if (lockOwner(stateDir)?.what === 'samovar run') journal.ask('pass', null, Date.now())
    else console.line(console.paint('dim', 'no daemon runs: `samovar apply` makes a pass'))
    return Promise.resolve(exit.fine)
  } finally {
    journal.close()
  }
}

/** Known from the last pass, or from before; when there was none yet, any name may be right. */
function mustExist(journal: Journal, service: string): void {
  const services = rememberedStatus(journal)?.services.map((each) => each.name)
  if (service === everyService || services === undefined || services.includes(service)) return
  if (journal.paused().includes(service) || journal.history(1, service).length > 0) return
  throw new SamovarError('not-found', `there is no service ${service}`, {
    next: `It is one of ${services.join(', ')}.`,
  })
}
