import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the proxy does to a request instead of passing it on faithfully. */
export type Fault =
  /** The connection ends after so many bytes of the request's body, or at its end; the server sees a request that was cut. */
  | { cutRequestAfter: number }
  /** The connection ends after so many bytes of the answer's body. */
  | { cutAnswerAfter: number }
  /** The answer stops after so many bytes of its body, and the connection stays. */
  | { stallAnswerAfter: number }
  /** An answer of the proxy's own; the server never hears of the request. */
  | { answer: { status: number; body: string } }
  /** The request is swallowed and never answered. */
  | { hang: true }
  /** The server does what it was asked, and its answer is lost. */
  | { loseAnswer: true }
  /** The request's body is taken in slowly: so many bytes, then a pause. */
  | { delayRequest: { bytes: number; everyMs: number } }
  /** The server never sees this header (lower case), as one that does not know it. */
  | { withoutHeader: string }

export type SeenRequest = { method: string; url: string; headers: IncomingHttpHeaders }
export type Rule = {
  /** Which requests it is for. */
  when: (seen: SeenRequest) => boolean
  fault: Fault
  /** How many of them, then they pass; every one when not named. */
  times?: number
}

export type FaultProxy = {
  endpoint: string
  /** Rules that apply from now on; the first that matches counts. Answers how often a rule of them was used. */
  use(...rules: Rule[]): () => number
  seen: SeenRequest[]
  stop(): Promise<void>
} & AsyncDisposable

/** An answer of S3 that says something went wrong; with status 200 as a Complete may have it. */
export const s3Answer = (status: number, code: string, after = ''): Fault => ({
  answer: {
    status,
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>said the fault proxy</Message></Error>${after}`,
  },
})

/** An HTTP proxy in front of one server that fails where a test tells it to. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  let rules: (Rule & { left: number })[] = []
  const seen: SeenRequest[] = []
  const server = createServer()
  const handle = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const asked = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers }
    seen.push(asked)
    const rule = rules.find((each) => each.left > 0 && each.when(asked))
    if (rule !== undefined) rule.left -= 1
    for (const stream of [incoming, outgoing]) stream.on('error', () => {})
    serve(target, incoming, outgoing, rule?.fault)
  }
  server.on('request', handle)
  // As some servers, it never says 100 Continue.
  server.on('checkContinue', handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const stop = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    use: (...added) => {
      const counted = added.map((rule) => ({ ...rule, left: rule.times ?? 1_000_000 }))
      rules = counted
      return () => counted.reduce((sum, rule) => sum + (rule.times ?? 1_000_000) - rule.left, 0)
    },
    seen,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function serve(
  target: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fault: Fault | undefined,
): void {
  if (fault !== undefined && 'hang' in fault) {
    incoming.resume()
    return
  }
  if (fault !== undefined && 'answer' in fault) {
    incoming.resume()
    incoming.once('end', () =>
      outgoing.writeHead(fault.answer.status, { 'content-type': 'application/xml' }).end(fault.answer.body),
    )
    return
  }
  pass(target, incoming, outgoing, fault)
}

function pass(
  target: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fault: Fault | undefined,
): void {
  const headers = { ...incoming.headers }
  if (fault !== undefined && 'withoutHeader' in fault) delete headers[fault.withoutHeader]
  const onward = request(target + (incoming.url ?? ''), {
    method: incoming.method ?? 'GET',
    headers,
  })
  onward.on('error', () => outgoing.destroy())
  onward.on('response', (answer) => handBack(answer, outgoing, fault))
  outgoing.on('close', () => onward.destroy())
  const most =
    fault !== undefined && 'cutRequestAfter' in fault ? fault.cutRequestAfter : Number.POSITIVE_INFINITY
  const delay = fault !== undefined && 'delayRequest' in fault ? fault.delayRequest : null
  let nextPause = delay?.bytes ?? 0
  let bytes = 0
  incoming.on('data', (chunk: Buffer) => {
    if (bytes + chunk.length > most) {
      onward.write(chunk.subarray(0, most - bytes), () => onward.destroy())
      incoming.socket.destroy()
      return
    }
    bytes += chunk.length
    const flows = onward.write(chunk)
    if (delay !== null && bytes >= nextPause) {
      nextPause += delay.bytes
      incoming.pause()
      setTimeout(() => incoming.resume(), delay.everyMs)
    } else if (!flows) {
      incoming.pause()
      onward.once('drain', () => incoming.resume())
    }
  })
  incoming.once('end', () => {
    if (most === Number.POSITIVE_INFINITY) onward.end()
    else {
      onward.destroy()
      incoming.socket.destroy()
    }
  })
}

function handBack(answer: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined): void {
  answer.on('error', () => outgoing.destroy())
  if (fault !== undefined && 'loseAnswer' in fault) {
    answer.resume()
    answer.once('end', () => outgoing.destroy())
    return
  }
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
  const cut = fault !== undefined && 'cutAnswerAfter' in fault ? fault.cutAnswerAfter : null
  const stall = fault !== undefined && 'stallAnswerAfter' in fault ? fault.stallAnswerAfter : null
  const most = cut ?? stall
  if (most === null) {
    answer.pipe(outgoing)
    return
  }
  let bytes = 0
  answer.once('end', () => {
    if (bytes < most) outgoing.end()
  })
  answer.on('data', (chunk: Buffer) => {
    const piece = chunk.subarray(0, Math.max(0, most - bytes))
    bytes += chunk.length
    const reached = cut !== null && bytes >= cut ? () => outgoing.destroy() : () => {}
    outgoing.flushHeaders()
    if (piece.length > 0) outgoing.write(piece, reached)
    else setImmediate(reached)
  })
}
