import type { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import type Docker from 'dockerode'
import type { EngineEvent } from './engine.ts'

/** Only what can mean drift; the exec events of health checks would be the bulk of the stream. */
const actions = [
  'die',
  'destroy',
  'health_status',
  'oom',
  'pause',
  'rename',
  'start',
  'stop',
  'unpause',
  'update',
  'connect',
  'disconnect',
]

type Watch = {
  project: string
  onEvent: (event: EngineEvent) => void
  onGap: () => void
  signal: AbortSignal
}

/** Follows the engine's events until the signal fires; after a lost connection it says so and connects again. */
export async function watchDocker(docker: Docker, watch: Watch): Promise<void> {
  let pause = 500
  while (!watch.signal.aborted) {
    try {
      const stream = (await docker.getEvents({
        filters: { type: ['container', 'network'], event: actions },
        abortSignal: watch.signal,
      })) as Readable
      watch.onGap()
      pause = 500
      await follow(stream, watch)
    } catch {
      // The engine is away; the pass that runs meanwhile says so. Here only the next try matters.
    }
    await wait(pause, undefined, { signal: watch.signal }).catch(() => undefined)
    pause = Math.min(pause * 2, 15_000)
  }
}

async function follow(stream: Readable, watch: Watch): Promise<void> {
  const stop = () => stream.destroy()
  watch.signal.addEventListener('abort', stop, { once: true })
  let rest = ''
  try {
    stream.setEncoding('utf8')
    for await (const chunk of stream) {
      const lines = (rest + String(chunk)).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const event = line.trim() === '' ? null : eventOf(JSON.parse(line) as WireEvent, watch.project)
        if (event !== null) watch.onEvent(event)
      }
    }
  } finally {
    watch.signal.removeEventListener('abort', stop)
    stream.destroy()
  }
}

type WireEvent = {
  Type: string
  Action: string
  timeNano?: number
  time: number
  Actor: { ID: string; Attributes: Record<string, string> }
}

/** Network events carry the container's id only, not its project: they are passed on and matched by the reader. */
function eventOf(wire: WireEvent, project: string): EngineEvent | null {
  const at = wire.timeNano === undefined ? wire.time * 1000 : wire.timeNano / 1e6
  const about = wire.Actor.Attributes
  if (wire.Type === 'network') {
    const instance = about['container']
    return instance === undefined ? null : { instance, service: '', action: wire.Action, name: '', at }
  }
  if (about['com.docker.compose.project'] !== project) return null
  const action = wire.Action.startsWith('health_status:')
    ? wire.Action.slice('health_status:'.length).trim()
    : wire.Action
  return {
    instance: wire.Actor.ID,
    service: about['com.docker.compose.service'] ?? '',
    action,
    name: about['name'] ?? '',
    at,
  }
}
