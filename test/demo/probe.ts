import { get } from 'node:http'

/** One request of a pretend user. Times are milliseconds since 1970. */
type Asked = { at: number; answeredAt: number; ok: boolean }

export type Figures = {
  asked: number
  failed: number
  /** Longest time without a good answer, milliseconds. */
  longestGap: number
}

export type Probe = {
  /** Milliseconds since 1970; the figures of an act are those between two marks. */
  mark(): number
  /** Waits for the answers that are still under way, at most as long as the patience. */
  figures(from: number, to: number): Promise<Figures>
  stop(): void
}

const every = 20
const patience = 2_000

/**
 * A pretend user in front of the door: asks every 20 ms on a new connection, whatever became of the requests
 * before, and remembers each answer. Anything but a 200 within two seconds is a failed request.
 */
export function startProbe(url: string): Probe {
  const all: Asked[] = []
  const underWay = new Set<Promise<void>>()
  const timer = setInterval(() => {
    const asking = ask(url).then((asked) => {
      all.push(asked)
      underWay.delete(asking)
    })
    underWay.add(asking)
  }, every)
  return {
    mark: Date.now,
    async figures(from, to) {
      await Promise.all(underWay)
      return figuresOf(all, from, to)
    },
    stop: () => clearInterval(timer),
  }
}

/** @param all in any order; @param from and @param to bound the moment a request was sent */
export function figuresOf(all: Asked[], from: number, to: number): Figures {
  const asked = all.filter((each) => each.at >= from && each.at <= to)
  const good = asked
    .filter((each) => each.ok)
    .map((each) => each.answeredAt)
    .toSorted((a, b) => a - b)
  const gaps = [...good, to].map((at, index) => Math.max(at, from) - (good[index - 1] ?? from))
  return {
    asked: asked.length,
    failed: asked.filter((each) => !each.ok).length,
    longestGap: Math.max(0, ...gaps),
  }
}

function ask(url: string): Promise<Asked> {
  const at = Date.now()
  return new Promise((resolve) => {
    const end = (ok: boolean) => resolve({ at, answeredAt: Date.now(), ok })
    const request = get(url, { agent: false, signal: AbortSignal.timeout(patience) }, (response) => {
      response.once('end', () => end(response.statusCode === 200))
      response.once('error', () => end(false))
      response.resume()
    })
    request.once('error', () => end(false))
  })
}
