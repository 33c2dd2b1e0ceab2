import { networkInterfaces } from 'node:os'
import { sentenceOf } from '../errors.ts'
import type { BootstrapWanted } from '../gitea/bootstrap.ts'
import type { Loaded } from '../load.ts'
import { stateFolder } from '../settings.ts'
import { switchedNote, type UpContext, type UpWanted } from './context.ts'
import { environmentText, readEnvironment, withValues, writeEnvironment } from './environment-file.ts'
import type { GiteaService } from './gitea-service.ts'
import { done, fine, type UpStep, warning } from './step.ts'

/** What the daemon needs to follow the repository in Gitea; paths and addresses, nothing secret. */
export function daemonValues(
  { settings }: Pick<UpContext, 'settings'>,
  loaded: Loaded,
  about: { webUrl: string; bootstrap: BootstrapWanted; gitea: GiteaService },
): Record<string, string> {
  const { bootstrap, webUrl, gitea } = about
  const unlessUsual = (name: string, value: string, usual: string) =>
    value === usual ? {} : { [name]: value }
  const diun = loaded.state.host.variables['DIUN_TOKEN']
  const diunFile = typeof diun === 'object' && diun.secret.startsWith('file:') ? diun.secret.slice(5) : null
  return {
    SAMOVAR_REPOSITORY: `${webUrl}/${bootstrap.owner}/${bootstrap.name}.git`,
    ...unlessUsual('SAMOVAR_BRANCH', settings.branch, 'main'),
    ...unlessUsual('SAMOVAR_DIRECTORY', settings.directory, 'desired-state'),
    ...unlessUsual('SAMOVAR_STATE_DIR', settings.stateDir, stateFolder({})),
    ...(settings.dockerHost === undefined ? {} : { DOCKER_HOST: settings.dockerHost }),
    SAMOVAR_GITEA_URL: webUrl,
    ...(settings.publicUrl === null ? {} : { SAMOVAR_PUBLIC_URL: settings.publicUrl }),
    ...(bootstrap.token === null ? { SAMOVAR_GITEA_TOKEN_FILE: bootstrap.tokenFile } : {}),
    ...(bootstrap.hookUrl === null || bootstrap.webhookSecret !== null
      ? {}
      : { SAMOVAR_WEBHOOK_SECRET_FILE: bootstrap.secretFile }),
    ...(diunFile === null || settings.lookup('SAMOVAR_DIUN_TOKEN')
      ? {}
      : { SAMOVAR_DIUN_TOKEN_FILE: diunFile }),
    ...listenValue(settings.listen, gitea),
  }
}

/** Containers reach the host at the address of the engine's bridge, not at 127.0.0.1. */
function listenValue(
  { host, port }: { host: string; port: number },
  { hostName }: GiteaService,
): Record<string, string> {
  if (hostName === null || host !== '127.0.0.1') return {}
  const bridge = networkInterfaces()['docker0']?.find((each) => each.family === 'IPv4')?.address
  return bridge === undefined ? {} : { SAMOVAR_LISTEN: `${bridge}:${port}` }
}

/** From now on the host follows what Gitea has. */
export function switchSource(context: UpContext, values: Record<string, string>): UpStep {
  const { environmentFile } = context.wanted
  const before = environmentText(environmentFile)
  const known = readEnvironment(before)
  const changed = Object.entries(values).filter(([name, value]) => known[name] !== value)
  if (changed.length > 0) writeEnvironment(environmentFile, withValues(before, values))
  context.parts.journal.writeNote(switchedNote, values['SAMOVAR_REPOSITORY'] ?? '')
  return changed.length === 0
    ? fine('settings', `${environmentFile} has all that the daemon needs`)
    : done('settings', `${changed.map(([name]) => name).join(', ')} in ${environmentFile}`)
}

const unit = 'samovar.service'

/** The daemon, now and after each boot. Who calls this has given the lock back. */
export async function startDaemon(
  { wanted: { programs, environmentFile } }: { wanted: Pick<UpWanted, 'programs' | 'environmentFile'> },
  hasNewSettings: boolean,
): Promise<UpStep> {
  const name = 'daemon'
  const state = await programs.unit(unit)
  if (state === 'none')
    return warning(
      name,
      'systemd does not run here',
      `Start it with the settings in ${environmentFile}: samovar run (docs/operations.md)`,
    )
  if (state === 'unknown')
    return warning(
      name,
      `there is no unit ${unit}`,
      `Put compose/samovar/${unit} into /etc/systemd/system/, then: systemctl enable --now samovar`,
    )
  try {
    if (state === 'active' && !hasNewSettings)
      return fine(name, `${unit} runs, also after a restart of the machine`)
    if (state !== 'active') await programs.enable(unit)
    if (state === 'inactive') return done(name, `${unit} was started, and is at each boot`)
    // Settings are read at the start, and enabling starts nothing that runs.
    if (hasNewSettings) await programs.restart(unit)
    const said = hasNewSettings ? `${unit} was started again with its new settings` : `${unit} runs`
    return done(name, state === 'active' ? said : `${said}, and is started at each boot from now on`)
  } catch (error) {
    return warning(name, sentenceOf(error), `journalctl -u samovar -n 50`)
  }
}
