import { execFile } from 'node:child_process'
import { sentenceOf } from './errors.ts'
import { oneLine } from './log.ts'

/** What is told to systemd; see sd_notify(3). */
export type Systemd = {
  /** The daemon serves: `systemctl start` returns. */
  ready(): void
  /** Ends the pings and says that the daemon ends. Resolves when that is said. */
  stopping(): Promise<void>
}

export type SystemdOptions = {
  /** NOTIFY_SOCKET; null: systemd did not start this process, and nothing is told to anybody. */
  socket: string | null
  /** Milliseconds of the watchdog, or null when there is none. */
  watchdogMs: number | null
  environment: Record<string, string | undefined>
  /** One line for `systemctl status`. */
  status: () => string
  /** Why the work under way counts as hanging, or null. */
  hangs: () => string | null
  /** What is worth a line in the log. */
  log: (sentence: string) => void
}

/** The status is told anew so often when there is no watchdog. */
const ordinaryPace = 20_000
/** A message waits for systemd to have read it (BARRIER=1), which takes 15 ms. */
const longestMessage = 5_000

/**
 * Speaks to systemd through its own program: Node has no Unix datagram sockets, which NOTIFY_SOCKET is (it knows udp4
 * and udp6 only; nodejs/node#29339), and a native module would have to be built on a host that must be recoverable.
 * The message comes from a child, so the unit needs NotifyAccess=all.
 *
 * The watchdog hears of this process three times in its time: from a timer, so only while the event loop turns, and
 * only while the work under way is inside its own time. When it hears nothing, systemd ends the process and starts
 * it anew, and what was cut is finished or put back.
 */
export function openSystemd(options: SystemdOptions): Systemd {
  const { socket, watchdogMs, hangs, log } = options
  if (socket === null) return { ready: () => undefined, stopping: async () => undefined }
  const send = sender(socket, options)
  let lateness: string | null = null
  let said: Promise<void> | null = null
  const tick = () => {
    const now = hangs()
    if (now !== null && lateness === null)
      log(`${now}; systemd is not told any more that all goes well, so that it starts Samovar anew`)
    lateness = now
    const status = now === null ? options.status() : `hangs: ${now}`
    void send({ STATUS: oneLine(status), ...(now === null && watchdogMs !== null ? { WATCHDOG: '1' } : {}) })
  }
  const timer = setInterval(tick, watchdogMs === null ? ordinaryPace : watchdogMs / 3)
  timer.unref()
  return {
    ready: () => void send({ READY: '1', STATUS: oneLine(options.status()) }),
    stopping() {
      clearInterval(timer)
      said ??= send({ STOPPING: '1', STATUS: 'ending' })
      return said
    },
  }
}

type Message = Record<string, string>

/** One message at a time, so that they arrive in order; what waits is put together, the newest value counts. */
function sender(socket: string, { environment, log }: SystemdOptions): (message: Message) => Promise<void> {
  let waiting: Message | null = null
  let sending: Promise<void> | null = null
  let failed = false
  const sendAll = async (): Promise<void> => {
    while (waiting !== null) {
      const message: Message = waiting
      waiting = null
      const problem = await notify(socket, message, environment)
      if (problem !== null && !failed) log(`systemd cannot be told how it goes: ${problem}`)
      failed = problem !== null
    }
    sending = null
  }
  return (message) => {
    waiting = { ...waiting, ...message }
    sending ??= sendAll()
    return sending
  }
}

/** @returns null, or why it could not be said */
function notify(
  socket: string,
  message: Message,
  environment: Record<string, string | undefined>,
): Promise<string | null> {
  const fields = Object.entries(message).map(([name, value]) => `${name}=${value}`)
  const env = { PATH: environment['PATH'], NOTIFY_SOCKET: socket }
  return new Promise((resolve) => {
    execFile('systemd-notify', fields, { env, timeout: longestMessage }, (error, _stdout, stderr) => {
      resolve(error === null ? null : stderr.trim() || sentenceOf(error))
    })
  })
}
