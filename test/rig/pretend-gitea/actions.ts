import { randomBytes, randomUUID } from 'node:crypto'
import { type Call, ok, type Reply, type Routes, repositoryFor, text, texts } from './route.ts'
import { Refused, type World } from './world.ts'

/**
 * Runners of Gitea Actions: their registration tokens and what a runner says to register itself. Jobs are not known here.
 * Up to 1.25 a token is asked for with GET, from 1.26 on with POST, which is what 404 means to who asks the wrong way.
 */
export const actionRoutes: Routes = {
  'GET /repos/:owner/:name/actions/runners/registration-token': (call) => ofRepository(call, 'GET'),
  'POST /repos/:owner/:name/actions/runners/registration-token': (call) => ofRepository(call, 'POST'),
  'GET /repos/:owner/:name/actions/runners': (call) => {
    const { owner, name } = repositoryFor(call, 'admin')
    const found = call.world.runners.filter((each) => each.scope === `${owner}/${name}`)
    return ok({ runners: found.map((each) => ({ ...each, status: 'idle' })), total_count: found.length })
  },
}

function ofRepository(call: Call, method: 'GET' | 'POST'): Reply {
  const wanted = isAskedByGet(call.world.version) ? 'GET' : 'POST'
  if (method !== wanted) throw new Refused(method === 'GET' ? 405 : 404, '404 page not found')
  const { owner, name } = repositoryFor(call, 'admin')
  return ok({ token: registrationToken(call.world, `${owner}/${name}`) })
}

const isAskedByGet = (version: string): boolean => /^1\.(\d|1\d|2[0-5])\./.test(version)

/** The same one until somebody resets it. */
export function registrationToken(world: World, scope: string): string {
  world.runnerTokens[scope] ??= randomBytes(20).toString('hex')
  return world.runnerTokens[scope]
}

/** `runner.v1.RunnerService/Register` of the Connect protocol with JSON, which needs no account but a token. */
export function registerRunner(world: World, asked: Record<string, unknown>): Reply {
  const scope = Object.entries(world.runnerTokens).find(([, token]) => token === asked['token'])?.[0]
  if (scope === undefined || text(asked['token']) === '')
    throw new Refused(404, 'runner registration token not found')
  const runner = { id: world.nextId(), name: text(asked['name']), labels: texts(asked['labels']), scope }
  world.runners.push(runner)
  return ok({ runner: { ...runner, uuid: randomUUID(), token: randomBytes(20).toString('hex') } })
}
