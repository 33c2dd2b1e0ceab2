import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { simpleParser } from 'mailparser'
import { SMTPServer } from 'smtp-server'
import type { OwnAuthority } from '../health/servers.ts'

export type ReceivedMail = {
  /** As SMTP had it, not as the header says. */
  from: string
  to: string[]
  /** Message-ID without its brackets. */
  id: string
  inReplyTo: string
  subject: string
  text: string
  html: string
  /** The header as it came, with folded lines put together. */
  headers: [name: string, value: string][]
  raw: string
  /** Who logged in, or null. */
  login: string | null
  tls: boolean
}

export type MailServer = {
  port: number
  /** Mails that were taken, oldest first. */
  mails: ReceivedMail[]
  /** How many connections are open. */
  connections(): number
  /** Recipients that are refused, with the code. */
  refuse(codes: Record<string, number>): void
  /** From now on a mail is taken, but nobody says so; or a greeting never comes. */
  hang(where: 'never' | 'after the mail' | 'at the greeting'): void
} & AsyncDisposable

type Options = {
  /** The same as before, for a server that comes back. */
  port?: number
  login?: { user: string; password: string }
  /** With TLS from the first byte, or by STARTTLS; none when missing. */
  tls?: { authority: OwnAuthority; implicit: boolean }
}

/** A real SMTP server on the loopback address that takes every mail and reads it. */
export async function startMailServer(options: Options = {}): Promise<MailServer> {
  const { login, tls } = options
  const mails: ReceivedMail[] = []
  let refused: Record<string, number> = {}
  let hangs: Parameters<MailServer['hang']>[0] = 'never'
  const fail = (code: number, text: string) => Object.assign(new Error(text), { responseCode: code })
  const server = new SMTPServer({
    secure: tls?.implicit === true,
    ...(tls === undefined
      ? { disabledCommands: login === undefined ? ['STARTTLS', 'AUTH'] : ['STARTTLS'] }
      : {
          key: readFileSync(join(tls.authority.root, 'server.key')),
          cert: readFileSync(join(tls.authority.root, 'server.pem')),
        }),
    authOptional: login === undefined,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    socketTimeout: 120_000,
    closeTimeout: 100,
    onConnect(_session, done) {
      if (hangs !== 'at the greeting') done()
    },
    onAuth({ username, password }, _session, done) {
      if (username === login?.user && password === login?.password) done(null, { user: username ?? '' })
      // Some servers quote what they were given.
      else done(fail(535, `${username} with ${password} is not accepted`))
    },
    onRcptTo({ address }, _session, done) {
      const code = refused[address]
      done(code === undefined ? null : fail(code, 'no such user here'))
    },
    onData(stream, session, done) {
      buffer(stream)
        .then(async (content) => {
          const raw = content.toString('utf8')
          const parsed = await simpleParser(content)
          mails.push({
            from: session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address,
            to: session.envelope.rcptTo.map((each) => each.address),
            id: (parsed.messageId ?? '').replaceAll(/[<>]/g, ''),
            inReplyTo: (parsed.inReplyTo ?? '').replaceAll(/[<>]/g, ''),
            subject: parsed.subject ?? '',
            text: parsed.text ?? '',
            html: parsed.html || '',
            headers: headersOf(raw),
            raw,
            login: typeof session.user === 'string' ? session.user : null,
            tls: session.secure,
          })
          if (hangs === 'never') done()
        })
        .catch(done)
    },
  })
  server.on('error', () => undefined)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    // Not by its sockets: one below TLS says no word of its end, and cutting it crashes Node.
    connections: () => server.connections.size,
    refuse(codes) {
      refused = codes
    },
    hang(where) {
      hangs = where
    },
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(resolve))
    },
  }
}

function headersOf(raw: string): [string, string][] {
  const [head = ''] = raw.split(/\r?\n\r?\n/)
  return head
    .replaceAll(/\r?\n[ \t]+/g, ' ')
    .split(/\r?\n/)
    .map((line) => {
      const at = line.indexOf(':')
      return [line.slice(0, at), line.slice(at + 1).trim()]
    })
}
