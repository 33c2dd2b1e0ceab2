import fastify, { type FastifyReply } from 'fastify'
import type { Registry } from 'prom-client'
import type { OperationDocument, PlanDocument } from '../documents.ts'
import { SamovarError } from '../errors.ts'
import { oneLine } from '../log.ts'
import type { Status } from '../status.ts'
import { addHooks, type HookSource } from './hooks.ts'
import type { KnownBackups } from './known-backups.ts'
import { addOperationPages, type OperationSource } from './operation-page.ts'

export type HttpSource = OperationSource & {
  version: string
  registry: Registry
  status(): Status
  plan(): PlanDocument
  history(limit: number, service: string | undefined): OperationDocument[]
  /** Waits a few seconds at most, however slow the stores are. */
  backups(): Promise<KnownBackups>
  /** Why it is not ready, or null. */
  notReady(): string | null
  hooks: HookSource
}

/** Milliseconds for a whole request to come in: who sends a byte now and then does not keep a connection. */
const patience = 10_000
/** Connections at the same moment; more are closed at once, so that files and the engine can still be opened. */
const mostConnections = 2_000

export type Server = { url: string; close(): Promise<void> }

/**
 * What others may look at: health, metrics, and the documents of the reading verbs. Nothing here changes anything, and
 * nothing here waits for the engine or for Git: it tells what the last look saw. Only the list of backups asks the
 * stores, and not for long. Webhooks are hints to look again.
 *
 * @throws SamovarError `settings-invalid` when the address cannot be listened at
 */
export async function startHttp(listen: { host: string; port: number }, source: HttpSource): Promise<Server> {
  const server = fastify({
    bodyLimit: 1024,
    forceCloseConnections: true,
    requestTimeout: patience,
    http: { headersTimeout: patience, requestTimeout: patience, connectionsCheckingInterval: 1_000 },
  })
  server.server.maxConnections = mostConnections
  server.get('/livez', () => ({ alive: true, version: source.version }))
  server.get('/readyz', (_request, reply) => {
    const reason = source.notReady()
    return reply
      .code(reason === null ? 200 : 503)
      .send({ ready: reason === null, version: source.version, reason })
  })
  server.get('/metrics', async (_request, reply) =>
    reply.type(source.registry.contentType).send(await source.registry.metrics()),
  )
  server.get('/api/status', () => source.status())
  server.get('/api/plan', () => source.plan())
  server.get('/api/backups', async (_request, reply) => tellBackups(reply, await source.backups()))
  server.get<{ Querystring: { limit?: string; service?: string } }>('/api/history', (request, reply) => {
    const limit = Number(request.query.limit ?? 20)
    if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
      return reply.code(400).send({ error: 'limit: expected a number from 1 to 1000' })
    return source.history(limit, request.query.service)
  })
  addOperationPages(server, source)
  addHooks(server, source.hooks, source.registry)
  server.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ error: `there is no ${request.method} ${request.url.split('?')[0]}` }),
  )
  server.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
  })
  try {
    const url = await server.listen(listen)
    return { url, close: () => server.close() }
  } catch (error) {
    await server.close()
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw new SamovarError(
      'settings-invalid',
      `${listen.host}:${listen.port} cannot be listened at: ${why}`,
      {
        next: 'Set SAMOVAR_LISTEN to a free address and port.',
        cause: error,
      },
    )
  }
}

/** The document is the list alone, so its age and what is wrong with the stores go into headers. */
function tellBackups(reply: FastifyReply, { backups, at, problems }: KnownBackups): unknown {
  const said = oneLine(problems.join('; ')).replaceAll(/[^\x20-\x7e]/g, '?')
  if (said !== '') reply.header('samovar-problems', said.slice(0, 2_000))
  if (backups !== null) {
    reply.header('age', Math.max(0, Math.round((Date.now() - (at ?? 0)) / 1000)))
    return backups
  }
  const error = said === '' ? 'the stores have not answered yet' : said
  return reply.code(503).header('retry-after', 5).send({ error })
}
