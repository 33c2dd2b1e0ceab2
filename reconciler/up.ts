import { join } from 'node:path'
import { SamovarError } from './errors.ts'
import type { BootstrapWanted } from './gitea/bootstrap.ts'
import { secretFiles } from './gitea/secret-files.ts'
import { connectSetup } from './gitea/setup-calls.ts'
import { lockOwner, takeLock } from './journal/lock.ts'
import type { Operation } from './journal/operation.ts'
import type { Loaded } from './load.ts'
import type { Outlook } from './look.ts'
import { containerOf } from './plan/plan.ts'
import { type Administrator, administrator } from './up/administrator.ts'
import { examineHost } from './up/checks.ts'
import { hostNote, type UpContext, type UpWanted } from './up/context.ts'
import {
  type GiteaService,
  giteaAddresses,
  giteaAnswers,
  giteaService,
  webUrlOf,
} from './up/gitea-service.ts'
import { bootstrapWanted, protectBranch, setUpGitea, setupParts } from './up/gitea-setup.ts'
import { daemonValues, startDaemon, switchSource } from './up/hand-over.ts'
import { registrationFiles } from './up/host-secrets.ts'
import { pushCommit } from './up/local-checkout.ts'
import { makeSecrets, secretsToMake } from './up/make-secrets.ts'
import { contextOf, settingsOf, switchedAddress } from './up/open-context.ts'
import { rowsOf, type UpRow } from './up/rows.ts'
import { registrationToken } from './up/runners.ts'
import { bringUp, checkEverything, firstCertificates, lookAgain } from './up/stack.ts'
import { fine, type UpStep } from './up/step.ts'

/** How a run came to its end. */
export type UpEnd = {
  /** Where people find Gitea. */
  webUrl: string
  rows: UpRow[]
  operations: Operation[]
}

/**
 * From a fresh machine with a checkout of the host repository to a host that follows its own Gitea. Each step looks first
 * and does only what is missing: run again it changes nothing, and after a run that was cut anywhere it goes on.
 *
 * 1. what has to be there; secrets that nobody has to know are made
 * 2. the stack, from the checkout, and then everything through its own checks
 * 3. Gitea: an administrator, all of bootstrap, the checkout as the first push, its branch protected
 * 4. runners get their token and are started; then the daemon gets its settings and is started
 *
 * @returns what runs where
 * @throws SamovarError when something stands in the way; what was done so far stays
 */
export async function* up(wanted: UpWanted): AsyncGenerator<UpStep, UpEnd> {
  const switchedTo = switchedAddress(wanted)
  const settings = settingsOf(wanted, switchedTo)
  const hasDaemon = lockOwner(settings.stateDir)?.what === 'samovar run'
  const lock = hasDaemon ? null : takeLock(settings.stateDir, 'samovar up')
  try {
    const context = await contextOf(wanted, settings, { isSwitched: switchedTo !== null, hasDaemon })
    try {
      const { end, hasNewSettings } = yield* inOrder(context)
      // The daemon needs the lock.
      lock?.release()
      yield await startDaemon(context, hasNewSettings)
      return end
    } finally {
      await context.parts.close()
    }
  } finally {
    lock?.release()
  }
}

async function* inOrder(context: UpContext): AsyncGenerator<UpStep, { end: UpEnd; hasNewSettings: boolean }> {
  const loaded = yield* ready(context)
  const gitea = giteaService(loaded)
  const named = context.wanted.environment['SAMOVAR_REPOSITORY'] ?? ''
  const webUrl = webUrlOf(gitea, { giteaUrl: context.settings.giteaUrl, repository: named })
  const outlook = yield* running(context, loaded)
  const here = { loaded, gitea, webUrl }
  const { bootstrap, hasNewToken } = yield* setUp(context, here)
  const last = hasNewToken ? yield* rest(context, loaded) : (outlook ?? (await lookAgain(context)))
  // Last: it says that all before it is done.
  const step = switchSource(context, daemonValues(context, loaded, { webUrl, bootstrap, gitea }))
  yield step
  const rows = last === null ? [] : rowsOf(context, last, { ...gitea, webUrl })
  return {
    end: { webUrl, rows, operations: [...context.operations.values()] },
    hasNewSettings: step.result === 'done',
  }
}

/** Checks, and then the secrets that are missing. */
async function* ready(context: UpContext): AsyncGenerator<UpStep, Loaded> {
  const { wanted, parts } = context
  let problems = 0
  let loaded: Loaded | null = null
  const checks = examineHost(context)
  for (;;) {
    const next = await checks.next()
    if (next.done === true) {
      loaded = next.value
      break
    }
    if (next.value.result === 'problem') problems += 1
    yield next.value
  }
  if (loaded === null || problems > 0) throw inTheWay(problems)
  const { host } = loaded.state
  const todo = secretsToMake(host)
  if (!context.isSwitched) {
    todo.push(`start ${Object.keys(loaded.state.services).join(', ')}`)
    todo.push(`set Gitea up and push ${wanted.folder} to it`, `write settings into ${wanted.environmentFile}`)
  }
  if (todo.length > 0 && !(await wanted.confirm(todo)))
    throw new SamovarError('interrupted', 'nothing was changed', { next: 'samovar up --yes does not ask.' })
  parts.journal.writeNote(hostNote, host.name)
  yield* makeSecrets(host, parts.now())
  return loaded
}

const inTheWay = (count: number): SamovarError =>
  new SamovarError(
    'settings-invalid',
    `${count === 1 ? 'a problem stands' : `${count} problems stand`} in the way`,
    {
      next: 'Correct what is listed above, then run up again: it goes on from here.',
    },
  )

/** The stack runs, and all of it passes its checks. */
async function* running(context: UpContext, loaded: Loaded): AsyncGenerator<UpStep, Outlook | null> {
  let problems = 0
  const count = (step: UpStep): UpStep => {
    if (step.result === 'problem') problems += 1
    return step
  }
  const starting = bringUp(context)
  let outlook: Outlook | null = null
  for (;;) {
    const next = await starting.next()
    if (next.done === true) {
      outlook = next.value
      break
    }
    yield count(next.value)
  }
  for await (const step of firstCertificates(context, loaded)) yield count(step)
  const held = outlook?.plan.changes.filter((change) => change.held !== null).map((change) => change.service)
  for await (const step of checkEverything(context, loaded, new Set(held))) yield count(step)
  if (problems > 0) throw inTheWay(problems)
  return outlook
}

type Here = { loaded: Loaded; gitea: GiteaService; webUrl: string }

async function* setUp(
  context: UpContext,
  here: Here,
): AsyncGenerator<UpStep, { bootstrap: BootstrapWanted; hasNewToken: boolean }> {
  const { loaded, gitea, webUrl } = here
  const { parts, repository } = context
  const addresses = () => giteaAddresses(parts, { gitea, model: loaded.model, webUrl })
  const { url, version } = await giteaAnswers(addresses, { within: 120_000, signal: context.wanted.stopping })
  yield fine('gitea', `version ${version} answers at ${url}`)
  const found = await administratorOf(context, here, url)
  yield found.step
  const wanted = bootstrapWanted(context, loaded, gitea)
  let hasNewToken = false
  if (found.administrator !== null) {
    const setup = setupParts(url, found.administrator)
    yield* setUpGitea(setup, wanted)
    if (!context.isSwitched) yield await push(context, loaded.commit, { url, bootstrap: wanted })
    yield await protectBranch(setup, wanted)
    const paths = registrationFiles(loaded.state.host)
    const about = { url, files: secretFiles, administrator: found.administrator }
    const token = await registrationToken(about, { ...repository, paths })
    if (token !== null) yield token
    hasNewToken = token?.result === 'done'
  }
  return { bootstrap: wanted, hasNewToken }
}

async function administratorOf(
  { parts, settings, wanted, isSwitched }: UpContext,
  { loaded, gitea }: Here,
  url: string,
): Promise<{ administrator: Administrator | null; step: UpStep }> {
  const { host } = loaded.state
  const instance = containerOf(gitea.service, await parts.engine.observe(host.project))?.instance
  if (instance === undefined)
    throw new SamovarError('not-found', `there is no container for ${gitea.service}`)
  const { giteaAdmin: given } = settings
  return administrator(
    {
      engine: parts.engine,
      journal: parts.journal,
      files: secretFiles,
      connect: (as) => connectSetup({ url, authorization: as }),
    },
    {
      instance,
      login: wanted.login,
      mailHost: host.name,
      passwordFile: join(settings.stateDir, 'gitea-admin-password'),
      given: given === null ? null : { user: given.user, password: given.password.reveal() },
      isSwitched,
    },
  )
}

function push(
  { checkout, settings, repository }: UpContext,
  commit: string,
  { url, bootstrap }: { url: string; bootstrap: BootstrapWanted },
): Promise<UpStep> {
  const token = bootstrap.token ?? secretFiles.read(bootstrap.tokenFile) ?? ''
  const fullName = `${repository.owner}/${repository.name}`
  const address = `${url}/${fullName}.git`
  return pushCommit(checkout, commit, { address, fullName, branch: settings.branch, token })
}

/** The runners, which their secret held until now. */
async function* rest(context: UpContext, loaded: Loaded): AsyncGenerator<UpStep, Outlook | null> {
  if (context.hasDaemon) return yield* bringUp(context)
  return yield* running(context, loaded)
}
