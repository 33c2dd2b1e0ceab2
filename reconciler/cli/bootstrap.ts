import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { SamovarError } from '../errors.ts'
import { readAddress } from '../git/repository-address.ts'
import {
  type BootstrapParts,
  type BootstrapStep,
  type BootstrapWanted,
  bootstrap,
} from '../gitea/bootstrap.ts'
import { dryRunOf } from '../gitea/bootstrap-dry-run.ts'
import { bootstrapNotes } from '../gitea/bootstrap-notes.ts'
import { publicKeyIn } from '../gitea/bootstrap-repository.ts'
import { repositoryInForge } from '../gitea/forge-address.ts'
import { planContext, validateContext } from '../gitea/protection.ts'
import { secretFiles } from '../gitea/secret-files.ts'
import { connectSetup } from '../gitea/setup-calls.ts'
import { readSettings, type Settings, stateFolder } from '../settings.ts'
import { type Console, printable } from './console.ts'
import { type Call, exit, type Verb } from './verb.ts'

export const bootstrapVerb: Verb = {
  name: 'bootstrap',
  usage: '[--dry-run] [...]',
  summary: 'make Gitea ready: repository, bot account, token, webhook, labels, branch protection',
  about:
    'Signs in to SAMOVAR_GITEA_URL as the administrator SAMOVAR_GITEA_ADMIN_USER with SAMOVAR_GITEA_ADMIN_PASSWORD (or _FILE) and\nmakes what is missing for SAMOVAR_GITEA_REPOSITORY. What is there already is compared and kept, with what people added to it: run\nagain it changes nothing. Tokens and secrets go to files that only their owner may read, never to the screen.\nSAMOVAR_STATE_DIR is /var/lib/samovar when not set. docs/gitea.md explains each step.',
  exits: [
    [exit.fine, 'Gitea is ready, or would be'],
    [exit.error, 'something was refused; what was done so far stays, and the next run goes on'],
  ],
  options: {
    'dry-run': { type: 'boolean' },
    bot: { type: 'string' },
    approvals: { type: 'string' },
    'without-actions': { type: 'boolean' },
    'hook-url': { type: 'string' },
    'deploy-key': { type: 'string' },
    'token-file': { type: 'string' },
    'secret-file': { type: 'string' },
    renew: { type: 'boolean' },
  },
  optionTexts: {
    '--dry-run': 'say what would be done, and do nothing',
    '--bot NAME': 'account that Samovar speaks as; samovar when not named',
    '--approvals N': 'people who must approve a pull request before it is merged; 0 when not named',
    '--without-actions': 'no runner is there: the status of the workflow is not required',
    '--hook-url URL': 'where Gitea calls; SAMOVAR_PUBLIC_URL/hooks/gitea when not named',
    '--deploy-key FILE.pub': 'public key that may fetch the repository',
    '--token-file PATH':
      'where the token goes; SAMOVAR_GITEA_TOKEN_FILE or gitea-token in SAMOVAR_STATE_DIR when not named',
    '--secret-file PATH':
      'the same for the webhook secret; SAMOVAR_WEBHOOK_SECRET_FILE or webhook-secret in SAMOVAR_STATE_DIR',
    '--renew': 'make token and webhook secret anew, and take the old ones back',
  },
  names: [0, 0],
  json: true,
  run: runBootstrap,
}

async function runBootstrap({ options, console }: Call) {
  const settings = readSettings({ repository: false, makesSecrets: true })
  const { url, admin, wanted } = readWanted(settings, options)
  const dryRun = options['dry-run'] === true
  const real: BootstrapParts = {
    setup: connectSetup({ url, authorization: { user: admin.user, password: admin.password.reveal() } }),
    withToken: (token) => connectSetup({ url, authorization: { token } }),
    files: secretFiles,
  }
  const parts = dryRun ? dryRunOf(real, wanted.bot) : real
  const steps: BootstrapStep[] = []
  for await (const step of bootstrap(parts, wanted)) {
    steps.push(step)
    tell(console, step, dryRun)
  }
  const version = await parts.setup.version()
  const notes = bootstrapNotes({ wanted, url, steps })
  const environment = environmentFor(settings, wanted, { url, steps })
  console.document({ url, version, dryRun, steps, notes, environment })
  for (const note of notes) console.line(`\nnote: ${note}`)
  console.line(`\nThe daemon finds it with${dryRun ? ' (after a run without --dry-run)' : ''}:`)
  for (const [name, value] of Object.entries(environment)) console.line(`  ${name}=${value}`)
  return exit.fine
}

type Administrator = NonNullable<Settings['giteaAdmin']>

/** @throws SamovarError `settings-invalid` that lists everything that is missing */
function readWanted(
  settings: Settings,
  options: Call['options'],
): { url: string; admin: Administrator; wanted: BootstrapWanted } {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : null)
  const problems: string[] = []
  const address = repositoryInForge(settings)
  if (address === null)
    problems.push('SAMOVAR_GITEA_URL is not set; expected a URL such as https://git.example.com')
  else if ('problem' in address) problems.push(address.problem)
  if (settings.giteaAdmin === null)
    problems.push('SAMOVAR_GITEA_ADMIN_USER and SAMOVAR_GITEA_ADMIN_PASSWORD (or _FILE) are not set')
  const choices = readChoices(settings, text, problems)
  if (problems.length > 0 || address === null || 'problem' in address || settings.giteaAdmin === null)
    throw new SamovarError('settings-invalid', problems.join('\n'), {
      next: 'Correct the options and variables above, then run bootstrap again.',
    })
  const [owner = '', name = ''] = address.fullName.split('/')
  const wanted = {
    owner,
    name,
    branch: settings.branch,
    requiredStatuses: options['without-actions'] === true ? [planContext] : [planContext, validateContext],
    renew: options['renew'] === true,
    tokenFile: resolve(text('token-file') ?? settings.madeSecrets.giteaToken),
    secretFile: resolve(text('secret-file') ?? settings.madeSecrets.webhookSecret),
    token: givenAsValue(settings, 'SAMOVAR_GITEA_TOKEN', settings.giteaToken),
    webhookSecret: givenAsValue(settings, 'SAMOVAR_WEBHOOK_SECRET', settings.webhookSecret),
    ...choices,
  }
  return { url: address.url, admin: settings.giteaAdmin, wanted }
}

/** As Gitea has it for new accounts, 40 characters at most. */
const login = /^(?=.{1,40}$)[a-z\d]+(?:[-._][a-z\d]+)*$/i

function readChoices(
  settings: Settings,
  text: (name: string) => string | null,
  problems: string[],
): Pick<BootstrapWanted, 'bot' | 'approvals' | 'hookUrl' | 'deployKey'> {
  const bot = text('bot') ?? 'samovar'
  if (!login.test(bot))
    problems.push(
      `--bot is "${bot}"; expected a login of Gitea such as samovar (letters, digits, single . _ - between them)`,
    )
  const approvals = text('approvals') ?? '0'
  if (!/^\d{1,2}$/.test(approvals))
    problems.push(`--approvals is "${approvals}"; expected a number such as 1`)
  const hookUrl =
    text('hook-url') ?? (settings.publicUrl === null ? null : `${settings.publicUrl}/hooks/gitea`)
  if (hookUrl !== null && !(URL.canParse(hookUrl) && /^https?:/.test(hookUrl)))
    problems.push(
      `--hook-url is "${hookUrl}"; expected a URL such as https://samovar.example.com/hooks/gitea`,
    )
  return { bot, approvals: Number(approvals), hookUrl, deployKey: publicKey(text('deploy-key'), problems) }
}

/** Null when it comes from a file, which can be written anew. */
const givenAsValue = (settings: Settings, name: string, secret: Settings['giteaToken']): string | null =>
  settings.lookup(name) ? (secret?.reveal() ?? null) : null

function publicKey(file: string | null, problems: string[]): string | null {
  if (file === null) return null
  try {
    const line = readFileSync(file, 'utf8')
    if (publicKeyIn(line) !== null) return line
    problems.push(
      `${file} (--deploy-key) holds no public key; expected one line such as \`ssh-ed25519 AAAA... comment\``,
    )
    return null
  } catch (error) {
    problems.push(
      `--deploy-key names ${file}, which cannot be read (${(error as NodeJS.ErrnoException).code})`,
    )
    return null
  }
}

function tell(console: Console, step: BootstrapStep, dryRun: boolean): void {
  const would = dryRun && (step.result === 'made' || step.result === 'changed')
  const result = would ? `would be ${step.result}` : step.result
  const colour = { made: 'green', changed: 'yellow', 'already so': 'dim', 'left out': 'yellow' } as const
  const details = step.details.length === 0 ? '' : `  (${step.details.join('; ')})`
  const width = dryRun ? 16 : 10
  console.line(
    `${console.paint(colour[step.result], result.padEnd(width))}  ${step.what.padEnd(17)}  ${printable(step.name + details)}`,
  )
}

/** What the daemon needs of it. What is set by value stays so; the rest are paths and addresses, nothing secret. */
function environmentFor(
  settings: Settings,
  wanted: BootstrapWanted,
  { url, steps }: { url: string; steps: BootstrapStep[] },
): Record<string, string> {
  const isTokenKept = wanted.token !== null && isKept(steps.find((step) => step.what === 'token'))
  const isSecretGiven = wanted.hookUrl === null || wanted.webhookSecret !== null
  const unlessUsual = (name: string, value: string, usual: string) =>
    value === usual ? {} : { [name]: value }
  return {
    // Without a password that may stand in it.
    SAMOVAR_REPOSITORY: settings.repository
      ? readAddress(settings.repository).url
      : `${url}/${wanted.owner}/${wanted.name}.git`,
    ...unlessUsual('SAMOVAR_BRANCH', settings.branch, 'main'),
    ...unlessUsual('SAMOVAR_DIRECTORY', settings.directory, 'desired-state'),
    ...unlessUsual('SAMOVAR_STATE_DIR', settings.stateDir, stateFolder({})),
    SAMOVAR_GITEA_URL: url,
    SAMOVAR_GITEA_REPOSITORY: `${wanted.owner}/${wanted.name}`,
    ...(isTokenKept ? {} : { SAMOVAR_GITEA_TOKEN_FILE: wanted.tokenFile }),
    ...(isSecretGiven ? {} : { SAMOVAR_WEBHOOK_SECRET_FILE: wanted.secretFile }),
    ...(settings.publicUrl === null ? {} : { SAMOVAR_PUBLIC_URL: settings.publicUrl }),
  }
}

const isKept = (step: BootstrapStep | undefined): boolean => step?.result === 'already so'
