import { setTimeout as pause } from 'node:timers/promises'
import { type BootstrapParts, type BootstrapWanted, bootstrapUnprotected } from '../gitea/bootstrap.ts'
import { protection } from '../gitea/bootstrap-repository.ts'
import { planContext, validateContext } from '../gitea/protection.ts'
import { secretFiles } from '../gitea/secret-files.ts'
import { connectSetup } from '../gitea/setup-calls.ts'
import type { Loaded } from '../load.ts'
import type { Settings } from '../settings.ts'
import type { Administrator } from './administrator.ts'
import type { UpContext } from './context.ts'
import type { GiteaService } from './gitea-service.ts'
import { registrationFiles } from './host-secrets.ts'
import { done, fine, type UpStep, warning } from './step.ts'

/** As bootstrap makes it when it is called by itself, for what this stack has. */
export function bootstrapWanted(
  { settings, repository }: Pick<UpContext, 'settings' | 'repository'>,
  loaded: Loaded,
  gitea: GiteaService,
): BootstrapWanted {
  const hasRunners = registrationFiles(loaded.state.host).length > 0
  return {
    ...repository,
    branch: settings.branch,
    bot: 'samovar',
    approvals: 0,
    requiredStatuses: hasRunners ? [planContext, validateContext] : [planContext],
    hookUrl: hookUrl(settings, gitea),
    deployKey: null,
    renew: false,
    tokenFile: settings.madeSecrets.giteaToken,
    secretFile: settings.madeSecrets.webhookSecret,
    token: settings.lookup('SAMOVAR_GITEA_TOKEN') ? (settings.giteaToken?.reveal() ?? null) : null,
    webhookSecret: settings.lookup('SAMOVAR_WEBHOOK_SECRET')
      ? (settings.webhookSecret?.reveal() ?? null)
      : null,
  }
}

/** By the name that the Compose file gives the host in Gitea's container, else as people reach Samovar; null: none. */
export function hookUrl(
  { publicUrl, listen }: Pick<Settings, 'publicUrl' | 'listen'>,
  { hostName }: Pick<GiteaService, 'hostName'>,
): string | null {
  if (hostName !== null) return `http://${hostName}:${listen.port}/hooks/gitea`
  return publicUrl === null ? null : `${publicUrl}/hooks/gitea`
}

export const setupParts = (url: string, administrator: Administrator): BootstrapParts => ({
  setup: connectSetup({ url, authorization: administrator }),
  withToken: (token) => connectSetup({ url, authorization: { token } }),
  files: secretFiles,
})

/** All of `samovar bootstrap` but the protection of the branch, which would refuse the first push. */
export async function* setUpGitea(parts: BootstrapParts, wanted: BootstrapWanted): AsyncGenerator<UpStep> {
  const made: string[] = []
  for await (const step of bootstrapUnprotected(parts, wanted)) {
    const { what, name, result } = step
    if (result === 'made' || result === 'changed') made.push(what === 'label' ? `label ${name}` : what)
    for (const detail of result === 'already so' ? step.details : [])
      yield warning('bootstrap', `${what} ${name}: ${detail}`, 'docs/gitea.md says what it is for.')
  }
  const fullName = `${wanted.owner}/${wanted.name}`
  if (wanted.hookUrl === null)
    yield warning(
      'bootstrap',
      'no webhook: Gitea does not know where Samovar listens, which then only polls',
      'Set SAMOVAR_PUBLIC_URL, or give Gitea `extra_hosts: ["samovar:host-gateway"]`, and run up again.',
    )
  yield made.length > 0
    ? done('bootstrap', `made for ${fullName}: ${made.join(', ')}`)
    : fine('bootstrap', `${fullName} has its account, token, webhook and labels`)
}

/** Gitea needs a second or two to know of a push. */
const knowsOfPush = 30_000

/** Once something was pushed. */
export async function protectBranch(parts: BootstrapParts, wanted: BootstrapWanted): Promise<UpStep> {
  const deadline = Date.now() + knowsOfPush
  for (;;) {
    const { result, details } = await protection(parts, wanted)
    if (result === 'already so') return fine('protection', `nobody pushes to ${wanted.branch} directly`)
    if (result !== 'left out')
      return done('protection', `nobody pushes to ${wanted.branch} directly; ${details.join('; ')}`)
    if (Date.now() > deadline)
      return warning(
        'protection',
        `${wanted.branch} is not protected: ${details.join('; ')}`,
        'Run up again.',
      )
    await pause(500)
  }
}
