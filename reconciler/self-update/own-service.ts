import { resolve } from 'node:path'
import { ownContainer } from './own-container.ts'

/** How Samovar itself is installed and started on this host. */
export type OwnService = {
  /** Folder with `releases/`, `current` and `previous`. Absolute. */
  installDir: string
  /** For /bin/sh: what restarts the daemon, and ends when that is done. */
  restartCommand: string
  /** Where systemd takes notifications, or null when it did not start this process. */
  notifySocket: string | null
  /** Milliseconds within which systemd wants to hear that all goes well, or null when it does not. */
  watchdogMs: number | null
  /** Id of the container that Samovar runs in, or null when it runs on the host. */
  container: string | null
}

/**
 * A unit that has crashed too often is not restarted by systemd until its failures are forgotten, so that comes first.
 * `reset-failed` of a unit that has not failed does nothing.
 */
const bySystemd = 'systemctl reset-failed samovar.service; systemctl restart samovar.service'

/** NOTIFY_SOCKET and WATCHDOG_USEC are set by systemd (sd_notify(3), sd_watchdog_enabled(3)). */
export function ownServiceOf(environment: Record<string, string | undefined>): OwnService {
  const microseconds = Number(environment['WATCHDOG_USEC'] ?? 0)
  return {
    installDir: resolve(environment['SAMOVAR_INSTALL_DIR'] || '/opt/samovar'),
    restartCommand: environment['SAMOVAR_RESTART_COMMAND'] || bySystemd,
    notifySocket: environment['NOTIFY_SOCKET'] || null,
    container: environment['SAMOVAR_OWN_CONTAINER'] || ownContainer(),
    watchdogMs: Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 1_000 : null,
  }
}
