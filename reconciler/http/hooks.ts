import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Counter, type Registry } from 'prom-client'
import { reasonOf } from '../errors.ts'
import { oneLine } from '../log.ts'
import { type DiunHookSource, diunHook } from './diun-hook.ts'
import { type GiteaHookSource, giteaHook } from './gitea-hook.ts'
import { type Answer, type Hook, type HookResult, hookResults } from './hook.ts'

export type HookSource = GiteaHookSource &
  DiunHookSource & {
    /** Tells the operator why a call was refused: each sentence at most once an hour, however many calls there are. */
    refused(what: string): void
    /** Milliseconds since 1970. */
    now(): number
  }

const statusOf: Record<HookResult, number> = {
  accepted: 202,
  ignored: 202,
  replay: 202,
  unauthorized: 401,
  malformed: 400,
  'wrong-type': 415,
  'too-large': 413,
  busy: 503,
  failed: 500,
}

const hour = 60 * 60_000

/**
 * Bodies that are read at the same moment may need so many bytes together. The signature is only known to be wrong
 * when the whole body is there, so this is what a caller without the secret can make us hold.
 */
const bytesAtOnce = 32 * 1024 * 1024

/** What all hooks share: where answers are counted, who is told, and how many bytes are being read. */
type Desk = {
  count(hook: Hook, result: HookResult): void
  tell(what: string): void
  reading: { bytes: number }
}

/** The routes that others call to say that there may be news: `POST /hooks/gitea` and `POST /hooks/diun`. */
export function addHooks(server: FastifyInstance, source: HookSource, registry: Registry): void {
  const hooks = [giteaHook(source), diunHook(source)]
  const desk: Desk = { count: counterOf(hooks, registry), tell: tellHourly(source), reading: { bytes: 0 } }
  for (const hook of hooks)
    void server.register((scope, _options, done) => {
      addHook(scope, hook, desk)
      done()
    })
}

function addHook(scope: FastifyInstance, hook: Hook, desk: Desk): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) =>
    done(null, bytes),
  )
  const answer = (reply: FastifyReply, { result, why, told, afterwards }: Answer): FastifyReply => {
    desk.count(hook, result)
    if (told !== undefined) desk.tell(told)
    const status = statusOf[result]
    void reply.code(status).send(status === 202 ? { accepted: result === 'accepted', why } : { error: why })
    afterwards?.()
    return reply
  }
  scope.setErrorHandler((error, _request, reply) => answer(reply, failure(hook, error)))
  scope.post(
    `/hooks/${hook.name}`,
    {
      bodyLimit: hook.bodyLimit,
      onRequest: async (request, reply) => {
        const refusal = hook.refuse(request.headers) ?? tooMany(request, reply, { hook, desk })
        return refusal === null ? undefined : answer(reply, refusal)
      },
    },
    (request, reply) =>
      answer(
        reply,
        hook.take(request.headers, Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)),
      ),
  )
}

/** Why a body is not read now, or null: then its bytes are counted until the answer is out. */
function tooMany(
  request: FastifyRequest,
  reply: FastifyReply,
  { hook, desk: { reading } }: { hook: Hook; desk: Desk },
): Answer | null {
  const bytes = Math.min(Number(request.headers['content-length'] ?? hook.bodyLimit), hook.bodyLimit)
  if (reading.bytes + bytes > bytesAtOnce)
    return {
      result: 'busy',
      why: 'too many at once',
      told: `too many calls of /hooks/${hook.name} at once, so one was refused; next: ${hook.otherwise}`,
    }
  reading.bytes += bytes
  reply.raw.once('close', () => {
    reading.bytes -= bytes
  })
  return null
}

const wrongType = (hook: Hook): Answer => ({
  result: 'wrong-type',
  why: 'expected Content-Type: application/json',
  told: `a call of /hooks/${hook.name} that is not application/json was refused; next: choose application/json as its content type`,
})

const tooLarge = (hook: Hook): Answer => ({
  result: 'too-large',
  why: `expected ${hook.bodyLimit} bytes at most`,
  told: `a call of /hooks/${hook.name} with more than ${hook.bodyLimit} bytes was refused; next: ${hook.otherwise}`,
})

/** What kept a call from being taken: Fastify, before or while it read the body, or the journal. */
function failure(hook: Hook, error: unknown): Answer {
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : 500
  if (status === 413) return tooLarge(hook)
  if (status === 415) return wrongType(hook)
  if (typeof status === 'number' && status < 500)
    return { result: 'malformed', why: 'the body does not end as it should' }
  return {
    result: 'failed',
    why: 'it could not be remembered',
    told: `a call of /hooks/${hook.name} could not be remembered: ${oneLine(reasonOf(error))}; next: ${hook.otherwise}`,
  }
}

function counterOf(hooks: Hook[], registry: Registry): Desk['count'] {
  const counter = new Counter({
    name: 'samovar_webhooks_total',
    help: 'Calls of /hooks/gitea and /hooks/diun by what became of them',
    labelNames: ['hook', 'result'],
    registers: [registry],
  })
  for (const { name } of hooks) for (const result of hookResults) counter.inc({ hook: name, result }, 0)
  return ({ name }, result) => counter.inc({ hook: name, result })
}

function tellHourly(source: HookSource): Desk['tell'] {
  const toldAt = new Map<string, number>()
  return (what) => {
    const now = source.now()
    for (const [told, at] of toldAt) if (now - at >= hour) toldAt.delete(told)
    if (toldAt.has(what)) return
    toldAt.set(what, now)
    source.refused(what)
  }
}
