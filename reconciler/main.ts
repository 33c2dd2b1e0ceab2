import { problemsOf, statusNow } from './current-status.ts'
import { daemonLog } from './daemon-log.ts'
import { operationDocument, planDocument } from './documents.ts'
import { repositoryInForge } from './gitea/forge-address.ts'
import { type GiteaWork, giteaWork } from './gitea-work.ts'
import { realClock } from './health/clock.ts'
import { rememberDeliveries } from './http/deliveries.ts'
import type { HookSource } from './http/hooks.ts'
import { type AskKnownBackups, knownBackups } from './http/known-backups.ts'
import { type Metrics, makeMetrics } from './http/metrics.ts'
import { type Server, startHttp } from './http/server.ts'
import { isAboutData } from './journal/data-records.ts'
import { takeLock } from './journal/lock.ts'
import { isRollOut, type Operation } from './journal/operation.ts'
import { type Log, makeLog, oneLine } from './log.ts'
import { type Loop, makeLoop } from './loop.ts'
import { notifyWork } from './notify-work.ts'
import { buildParts, type Parts } from './parts.ts'
import { readRecord } from './self-update/record.ts'
import { tellLastUpdate } from './self-update/tell-last-update.ts'
import type { Settings } from './settings.ts'
import { operationNamed } from './shown-operation.ts'
import type { Problem, Status } from './status.ts'
import { backupsAt } from './stored-backups.ts'
import { openSystemd, type Systemd } from './systemd.ts'
import { tellPeopleOfUpdate } from './tell-people.ts'
import { version } from './version.ts'
import { keepVigil, type Vigil } from './vigil.ts'

/**
 * How long the current step may take to its end after SIGTERM before it is cut: `docker stop` waits 10 s. Cutting is
 * as safe as a crash: the journal knows where the work was, and the next start goes on from there.
 */
const grace = 8_000
/** Milliseconds that a call to Gitea or a mail may still take at the end; what was not said then is said at the next start. */
const lastWords = 1_000

/**
 * The daemon: settings -> parts -> loop + HTTP. Resolves when SIGTERM or SIGINT has ended it; everything is closed in
 * reverse order. A second signal ends the process at once.
 *
 * @param write takes one line of the log
 * @throws SamovarError `state-locked`, `settings-invalid`, `compose-unavailable`
 */
export async function runDaemon(settings: Settings, write: (line: string) => void): Promise<'ended' | 'cut'> {
  const log = makeLog({ level: settings.logLevel, write, now: Date.now })
  const stopping = new AbortController()
  const onSignal = (name: NodeJS.Signals) => {
    if (stopping.signal.aborted) process.exit(1)
    log.info('samovar', `${name}: finishing or safely cutting the current step`)
    stopping.abort(new Error(name))
  }
  const lock = takeLock(settings.stateDir, 'samovar run')
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  let parts: Parts | null = null
  let server: Server | null = null
  let systemd: Systemd | null = null
  let toOthers: Promise<unknown> = Promise.resolve()
  let cut = false
  try {
    parts = await buildParts(settings, stopping.signal)
    const working = work(parts, log, stopping.signal)
    const { loop, gitea, tellPeople } = working
    server = await serve(settings, { parts, log, ...working })
    systemd = tellSystemd(settings, { log, ...working })
    stopping.signal.addEventListener('abort', () => void systemd?.stopping(), { once: true })
    toOthers = Promise.all([gitea?.run(), tellPeople()])
    log.info(
      'samovar',
      `version ${version} watches branch ${settings.branch}; ${server.url} tells how it goes`,
    )
    cut = (await untilEnded(loop, stopping.signal)) === 'cut'
    return cut ? 'cut' : 'ended'
  } finally {
    await systemd?.stopping()
    await server?.close()
    await Promise.race([toOthers, realClock.sleep(lastWords, new AbortController().signal)])
    // What was cut still uses them; the end of the process is what ends it.
    if (!cut) {
      await parts?.close()
      lock.release()
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    }
    log.info('samovar', cut ? 'ended; the current step was cut, the next start goes on with it' : 'ended')
  }
}

type Working = {
  loop: Loop
  metrics: Metrics
  backups: AskKnownBackups
  gitea: GiteaWork | null
  vigil: Vigil
  /** Sends to people what they are to be told, until the end. */
  tellPeople: () => Promise<void>
}

function work(parts: Parts, log: ReturnType<typeof makeLog>, stopping: AbortSignal): Working {
  const { journal, now } = parts
  const { progress, ...told } = daemonLog({ log, journal, now })
  const backups = knownBackups(() => backupsInStores(parts, loop), { now })
  const { installDir } = parts.settings.ownService
  tellLastUpdate(told.teller, installDir)
  const tellOfUpdate = () => tellPeopleOfUpdate(parts, readRecord(installDir))
  tellOfUpdate()
  let commit: string | null = null
  const vigil = keepVigil({ now: () => performance.now(), busySince: () => loop.state.busySince })
  const loop: Loop = makeLoop(parts, {
    progress: vigil.over(progress),
    stopping,
    told: {
      ...told,
      operationEnded(operation) {
        told.operationEnded(operation)
        metrics.operationEnded(operation)
        backups.changed()
      },
      passEnded(report) {
        told.passEnded(report)
        tellOfUpdate()
        // What was told on pull requests may not be true any more, or has come true.
        if (report.operations.length > 0 || report.commit !== commit) gitea?.pullRequestHint()
        commit = report.commit
      },
      passFailed(...failed) {
        told.passFailed(...failed)
        tellOfUpdate()
      },
    },
  })
  const atWork = (is: (operation: Operation) => boolean): number => journal.unfinished().filter(is).length
  const metrics = makeMetrics(
    {
      status: () => statusOf(parts, loop),
      lastPassMs: () => loop.state.lastPassMs,
      lastPassOk: () => loop.state.passes > 0 && loop.state.lastError === null,
      rollingOut: () => atWork(isRollOut),
      now,
      data: { ...journal, atWork: () => atWork(isAboutData) },
      jobs: () => journal.lastJobSuccesses(),
    },
    version,
  )
  const { forge } = parts
  const gitea =
    forge === null
      ? null
      : giteaWork(
          { ...parts, forge },
          {
            stopping,
            outlook: () => loop.state.outlook,
            merged: () => loop.trigger('a pull request was merged'),
            told: {
              teller: told.teller,
              did: (what) => log.info('gitea', what),
              looked: (what) => log.debug('gitea', what),
              gaveUp: (what, why) => log.error('gitea', `${what} was given up after two weeks: ${why}`),
            },
          },
        )
  const tellPeople = () =>
    notifyWork(parts, {
      stopping,
      host: () => loop.state.outlook?.loaded.state.host ?? null,
      told: {
        teller: told.teller,
        sent: (what) => log.info('notify', `told ${what}`),
        gaveUp: (what, why) => log.error('notify', `${what} was given up: ${why}`),
      },
    })
  return { loop, metrics, backups, gitea, vigil, tellPeople }
}

/**
 * READY=1 as soon as HTTP is served, before the first pass: that one may finish what a crash cut short, for as long as
 * a health check or a restore takes, and systemd would end a start that takes so long. Whether Samovar sees Git and
 * the host is what /readyz tells.
 */
function tellSystemd(settings: Settings, { log, loop, vigil }: Working & { log: Log }): Systemd {
  const { notifySocket, watchdogMs } = settings.ownService
  const systemd = openSystemd({
    socket: notifySocket,
    watchdogMs,
    environment: settings.environment,
    hangs: () => vigil.hangs(),
    status() {
      const { lastError, outlook } = loop.state
      const quiet = outlook === null ? 'started' : `commit ${outlook.commit.slice(0, 8)} is in force`
      return vigil.doing() ?? lastError?.message ?? quiet
    },
    log: (sentence) => log.error('samovar', sentence),
  })
  systemd.ready()
  return systemd
}

/** As the last look knows the stores: who asks waits neither for Git nor for Compose. */
async function backupsInStores(parts: Parts, loop: Loop) {
  const host = loop.state.outlook?.loaded.state.host
  if (host === undefined) return null
  return (await backupsAt(parts, host)).listed
}

function serve(
  settings: Settings,
  { parts, log, loop, metrics, backups, gitea }: Working & { parts: Parts; log: Log },
): Promise<Server> {
  const { journal } = parts
  return startHttp(settings.listen, {
    version,
    registry: metrics.registry,
    status: () => statusOf(parts, loop),
    plan: () => planDocument(loop.state.outlook?.plan ?? null),
    history: (limit, service) =>
      journal
        .history(limit, service)
        .map((operation) => operationDocument(operation, journal.steps(operation.id))),
    operation(text) {
      const operation = operationNamed(journal, text)
      return { operation, steps: journal.steps(operation.id) }
    },
    backups: () => backups.ask(),
    hooks: hooksOf(settings, { parts, log, loop, gitea }),
    notReady: () =>
      loop.state.passes > 0 || loop.state.outlook !== null
        ? null
        : (loop.state.lastError?.message ?? 'the first pass is not over yet'),
  })
}

/** What calls over HTTP lead to: nothing but another look. */
function hooksOf(
  settings: Settings,
  { parts, log, loop, gitea }: { parts: Parts; log: Log; loop: Loop; gitea: GiteaWork | null },
): HookSource {
  const { journal, now } = parts
  const forge = repositoryInForge(settings)
  return {
    secret: settings.webhookSecret,
    diunToken: settings.diunToken,
    repository: forge !== null && 'fullName' in forge ? forge.fullName : settings.giteaRepository,
    branch: settings.branch,
    firstDelivery: rememberDeliveries(journal, now),
    hint: (why) => loop.trigger(why),
    pullRequestHint: () => gitea?.pullRequestHint(),
    hintRepository: (repository) => journal.hintRepository(repository, now()),
    // What is stored is looked for twice a second.
    bumpHint: () => undefined,
    refused: (what) => log.warn('webhooks', what),
    now,
  }
}

/** What the last look saw, with what the journal knows now. */
function statusOf(parts: Parts, loop: Loop): Status {
  const { outlook, lastError, lastReport } = loop.state
  const problems: Problem[] = outlook === null ? [] : problemsOf(outlook)
  if (lastError !== null)
    problems.unshift({
      about: 'last pass',
      message: oneLine(lastError.message),
      next: 'it is tried again; the log and `samovar doctor` tell more',
    })
  return statusNow(parts, { outlook, problems, findings: outlook?.findings ?? lastReport?.findings ?? [] })
}

async function untilEnded(loop: Loop, stopping: AbortSignal): Promise<'ended' | 'cut'> {
  const running = loop.run().then(() => 'ended' as const)
  const late = Promise.withResolvers<'cut'>()
  let timer: NodeJS.Timeout | undefined
  stopping.addEventListener('abort', () => {
    timer = setTimeout(() => late.resolve('cut'), grace)
  })
  try {
    return await Promise.race([running, late.promise])
  } finally {
    clearTimeout(timer)
    running.catch(() => undefined)
  }
}
