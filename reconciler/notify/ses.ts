import type { Composed, Road } from './mail.ts'
import type { SesRoute } from './mail-route.ts'

const refusedByAddress = new Set(['MessageRejected', 'BadRequestException'])
const timeouts = { connectionTimeout: 10_000, requestTimeout: 30_000, socketTimeout: 30_000 }

/**
 * The SES v2 API, with the credentials that the AWS SDK finds by itself. It takes the whole message as it is and gives
 * it another Message-ID; ours stays in X-Samovar-Delivery.
 */
export async function openSes(route: SesRoute): Promise<Road> {
  const { SESv2Client, SendEmailCommand } = await import('@aws-sdk/client-sesv2')
  const { NodeHttpHandler } = await import('@smithy/node-http-handler')
  const client = new SESv2Client({
    region: route.region,
    ...(route.endpoint === null ? {} : { endpoint: route.endpoint }),
    maxAttempts: 2,
    requestHandler: new NodeHttpHandler({ ...timeouts, throwOnRequestTimeout: true }),
  })
  const stopping = new AbortController()
  const put = async (from: string, to: string, message: Buffer): Promise<void> => {
    const command = new SendEmailCommand({
      FromEmailAddress: from,
      Destination: { ToAddresses: [to] },
      Content: { Raw: { Data: message } },
    })
    await client.send(command, { abortSignal: stopping.signal })
  }
  return {
    send: ({ from, to, message }: Composed) => put(from, to, message),
    async check() {
      // No address of this kind can exist, so the mail is refused; who may not send at all is refused otherwise.
      const nobody = 'invalid@invalid'
      const message = Buffer.from(`From: <${nobody}>\r\nTo: <${nobody}>\r\nSubject: check\r\n\r\n`)
      await put(nobody, nobody, message).catch((error: unknown) => {
        if (error instanceof Error && refusedByAddress.has(error.name)) return
        throw error
      })
    },
    close() {
      stopping.abort()
      client.destroy()
    },
  }
}
