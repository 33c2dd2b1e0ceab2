import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type SMTPConnection from 'nodemailer/lib/smtp-connection'
import type { Composed, Road } from './mail.ts'
import type { SmtpRoute } from './mail-route.ts'

/**
 * The library's own are two minutes, half a minute and ten minutes: a server that hangs would hold up all the others
 * for that long. The last one destroys the socket at once, also one that a server never closes.
 */
const timeouts = {
  connectionTimeout: 10_000,
  greetingTimeout: 10_000,
  dnsTimeout: 10_000,
  socketTimeout: 30_000,
  socketCloseTimeout: 0,
}

/** Milliseconds that a server may take to its goodbye. */
const goodbye = 1_000

/**
 * One connection to a mail server, for one mail. The library's transport cannot be cut: its socket lives until its
 * time is over, and keeps the process.
 */
export async function openSmtp(route: SmtpRoute): Promise<Road> {
  const { default: Connection } = await import('nodemailer/lib/smtp-connection')
  const { host, port, tls, ca, login } = route
  const connection: SMTPConnection = new Connection({
    host,
    port,
    ...timeouts,
    secure: tls === 'implicit',
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === 'none',
    tls: {
      ...(ca === null ? {} : { ca: readFileSync(ca) }),
      ...(isIP(host) === 0 ? { servername: host } : {}),
    },
  })
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined)
  connection.on('error', (error: Error) => failed.reject(error))
  connection.on('end', () => failed.reject(new Error('the connection was closed')))
  const step = <T>(begin: (done: (error?: Error | null, result?: T) => void) => void): Promise<T> => {
    const own = new Promise<T>((resolve, reject) => {
      begin((error, result) => (error ? reject(error) : resolve(result as T)))
    })
    return Promise.race([own, failed.promise])
  }
  let isLeaving = false
  const leave = (): void => {
    isLeaving = true
    connection.quit()
  }
  const enter = async (): Promise<void> => {
    await step<void>((done) => connection.connect(done))
    if (login !== null)
      await step<boolean>((done) =>
        connection.login({ user: login.user, pass: login.password.reveal() }, done),
      )
  }
  return {
    async send({ from, to, message }: Composed) {
      await enter()
      await step((done) => connection.send({ from, to: [to] }, message, done))
      leave()
    },
    async check() {
      await enter()
      leave()
    },
    close() {
      if (!isLeaving) return connection.close()
      // It was all said but the goodbye, for which nobody waits.
      const late = setTimeout(() => connection.close(), goodbye)
      connection.once('end', () => clearTimeout(late))
    },
  }
}
