import { Registry } from 'prom-client'
import { rememberDeliveries } from '../../reconciler/http/deliveries.ts'
import type { HookSource } from '../../reconciler/http/hooks.ts'
import { type HttpSource, startHttp } from '../../reconciler/http/server.ts'
import type { Journal } from '../../reconciler/journal.ts'
import { secretOf } from '../../reconciler/settings.ts'
import { type Call, type Called, call, secret } from './hook-caller.ts'

export const token = 'a-token-of-diun'

export type HookServer = {
  url: string
  /** What the calls have led to, in order. */
  led: string[]
  /** What the operator was told. */
  told: string[]
  call(about: Call): Promise<Called>
  /** How many calls ended like that. */
  counted(hook: string, result: string): Promise<number>
} & AsyncDisposable

/** The HTTP server of the daemon with a journal, and calls that are written down in place of a loop. */
export async function serveHooks(journal: Journal, other: Partial<HookSource> = {}): Promise<HookServer> {
  const led: string[] = []
  const told: string[] = []
  const registry = new Registry()
  const hooks: HookSource = {
    secret: secretOf(secret),
    diunToken: secretOf(token),
    repository: 'ops/host',
    branch: 'main',
    firstDelivery: rememberDeliveries(journal, Date.now),
    hint: (why) => void led.push(`look: ${why}`),
    pullRequestHint: (number) => void led.push(`pull request ${number}`),
    hintRepository: (repository) => journal.hintRepository(repository, Date.now()),
    bumpHint: () => void led.push('look into repositories'),
    refused: (what) => void told.push(what),
    now: Date.now,
    ...other,
  }
  // The rest of what the server shows is not asked for here.
  const server = await startHttp({ host: '127.0.0.1', port: 0 }, { registry, hooks } as HttpSource)
  return {
    url: server.url,
    led,
    told,
    call: (about) => call(server.url, about),
    async counted(hook, result) {
      const line = (await registry.metrics())
        .split('\n')
        .find((each) => each.startsWith(`samovar_webhooks_total{hook="${hook}",result="${result}"} `))
      return Number(line?.split(' ').at(-1))
    },
    [Symbol.asyncDispose]: () => server.close(),
  }
}
