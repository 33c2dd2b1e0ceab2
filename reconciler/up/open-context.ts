import { dirname, join } from 'node:path'
import { ownerAndName } from '../gitea/forge-address.ts'
import { newMemory } from '../look.ts'
import { buildParts, openState } from '../parts.ts'
import { readSettings, type Settings } from '../settings.ts'
import { switchedNote, type UpContext, type UpWanted } from './context.ts'
import { isOnNetwork } from './gitea-service.ts'
import { localCheckout } from './local-checkout.ts'

/** Where the repository is in Gitea, when an earlier run came to its end; else null. */
export function switchedAddress(wanted: UpWanted): string | null {
  const journal = openState(settingsOf(wanted, null).stateDir)
  try {
    const note = journal.note(switchedNote)
    const named = wanted.environment['SAMOVAR_REPOSITORY'] ?? ''
    // It may have been given another name since.
    return note !== null && isOnNetwork(named) ? named : note
  } finally {
    journal.close()
  }
}

const usualRepository = 'ops/host'

/** What is made for Gitea lies beside the other secrets, so that a copy of that folder has all that backups have not. */
export function settingsOf(
  { environment, environmentFile, folder }: Pick<UpWanted, 'environment' | 'environmentFile' | 'folder'>,
  switchedTo: string | null,
): Settings {
  const named = environment['SAMOVAR_REPOSITORY'] ?? ''
  const fullName = environment['SAMOVAR_GITEA_REPOSITORY'] || ownerAndName(named) || usualRepository
  const secrets = join(dirname(environmentFile), 'secrets')
  const kept = (name: string, file: string) =>
    environment[name] || environment[`${name}_FILE`] ? {} : { [`${name}_FILE`]: join(secrets, file) }
  return readSettings(
    { repository: true, makesSecrets: true },
    {
      ...environment,
      ...kept('SAMOVAR_GITEA_TOKEN', 'gitea-token'),
      ...kept('SAMOVAR_WEBHOOK_SECRET', 'webhook-secret'),
      SAMOVAR_REPOSITORY: switchedTo ?? folder,
      SAMOVAR_GITEA_REPOSITORY: fullName,
    },
  )
}

export async function contextOf(
  wanted: UpWanted,
  settings: Settings,
  known: Pick<UpContext, 'isSwitched' | 'hasDaemon'>,
): Promise<UpContext> {
  const [owner = '', name = ''] = (settings.giteaRepository ?? usualRepository).split('/')
  return {
    ...known,
    wanted,
    settings,
    parts: await buildParts(settings, wanted.stopping),
    memory: newMemory(),
    options: {
      services: [],
      now: false,
      stopping: wanted.stopping,
      hint: new EventTarget(),
      progress: wanted.progress,
      busy: () => {},
      ended: wanted.ended,
    },
    checkout: localCheckout(wanted.folder, settings, wanted.stopping),
    repository: { owner, name },
    operations: new Map(),
  }
}
