import { afterEach, describe, expect, test } from 'vitest'
import type { Delivery, Notifier } from '../../reconciler/notify/notifier.ts'
import { until } from '../rig/until.ts'

/** What the other side of a notifier saw of one message. */
export type Arrived = { id: string; subject: string; text: string; event: string; recipients: number }

/** What a notifier under test offers the suite. */
export type NotifierUnderTest = {
  notifier: Notifier
  to: string
  /** An address that the other side does not take. */
  refusedTo: string
  /** What must be in no error. */
  secret: string
  arrived: () => Arrived[]
  /** From now on the other side takes everything and answers nothing. */
  hang: () => void
  /** From now on nobody listens there. */
  goAway: () => Promise<void>
  connections: () => number
  cleanUp: () => PromiseLike<void>
}

const delivery = (to: string, other: Partial<Delivery> = {}): Delivery => ({
  id: '0123456789abcdef@host.example.com',
  about: null,
  to,
  at: Date.UTC(2026, 10, 22, 3, 15),
  subject: '[host.example.com] web reverted: 2.0.0 failed, 1.0.0 runs again',
  text: 'web reverted\n\n- what happened\n',
  html: '<p>web reverted</p>',
  document: { event: 'reverted', host: 'host.example.com' },
  ...other,
})

const signal = new AbortController().signal

/** The promises of reconciler/notify/notifier.ts; every notifier passes them. */
export function notifierContract(name: string, open: () => Promise<NotifierUnderTest>): void {
  describe(`notifier contract: ${name}`, () => {
    let under: NotifierUnderTest
    const opened = async () => {
      under = await open()
      return under
    }
    afterEach(() => under.cleanUp())

    const failureOf = async (act: Promise<unknown>) => {
      const error = await act.then(
        () => null,
        (thrown: unknown) => thrown as Error & { code: string; next: string },
      )
      if (error === null) throw new Error('nothing failed')
      for (const text of [error.message, error.next, error.stack, JSON.stringify(error)])
        expect(text ?? '').not.toContain(under.secret)
      return error
    }

    test('a message arrives with its id, its words and its event', async () => {
      const { notifier, to, arrived } = await opened()
      await notifier.send(delivery(to), signal)
      expect(arrived()).toMatchObject([
        {
          id: '0123456789abcdef@host.example.com',
          subject: '[host.example.com] web reverted: 2.0.0 failed, 1.0.0 runs again',
          event: 'reverted',
          recipients: 1,
        },
      ])
      expect(arrived()[0]?.text).toContain('- what happened')
    })

    test('one that is sent once more has the same id', async () => {
      const { notifier, to, arrived } = await opened()
      await notifier.send(delivery(to), signal)
      await notifier.send(delivery(to), signal)
      const [first, second] = arrived()
      expect(second?.id).toBe(first?.id)
      expect(arrived()).toHaveLength(2)
    })

    test('one that is not taken is refused, with a next step, and the connection is not kept', async () => {
      const { notifier, refusedTo, arrived, connections } = await opened()
      const error = await failureOf(notifier.send(delivery(refusedTo), signal))
      expect(error.code).toBe('notify-refused')
      expect(error.next).toMatch(/\w/)
      expect(arrived()).toEqual([])
      await until('no connection is open', () => connections() === 0, { withinMs: 3_000 })
    })

    test('somebody who is away is unreachable, and that is known soon', async () => {
      const { notifier, to, goAway } = await opened()
      await goAway()
      const began = performance.now()
      const error = await failureOf(notifier.send(delivery(to), signal))
      expect(error.code).toBe('notify-unreachable')
      expect(performance.now() - began).toBeLessThan(5_000)
    })

    test('whoever hangs is left as soon as the signal fires', async () => {
      const { notifier, to, hang, arrived, connections } = await opened()
      hang()
      const stopping = new AbortController()
      const sent = failureOf(notifier.send(delivery(to), stopping.signal))
      await until('it was taken', () => arrived().length === 1, { withinMs: 5_000 })
      const began = performance.now()
      stopping.abort()
      expect((await sent).code).toBe('interrupted')
      expect(performance.now() - began).toBeLessThan(1_000)
      await until('no connection is open', () => connections() === 0, { withinMs: 3_000 })
    })

    test('with a signal that has fired nothing is sent', async () => {
      const { notifier, to, arrived } = await opened()
      expect((await failureOf(notifier.send(delivery(to), AbortSignal.abort()))).code).toBe('interrupted')
      expect(arrived()).toEqual([])
    })

    test('hostile text makes no header, no recipient and no second message', async () => {
      const { notifier, to, arrived } = await opened()
      const evil = 'x\r\nBcc: mallory@example.com\r\n\r\nbody'
      const text = `.\r\n.\r\nMAIL FROM:<mallory@example.com>\r\n${'y'.repeat(1_000_000)}`
      const document = { event: `reverted${evil}`, host: evil }
      await notifier.send(delivery(to, { subject: evil, text, html: `<p>${text}</p>`, document }), signal)
      const all = arrived()
      expect(all).toHaveLength(1)
      expect(all[0]?.recipients).toBe(1)
      expect(all[0]?.text).toContain('y'.repeat(1_000))
      expect(all[0]?.subject).toContain('Bcc: mallory@example.com')
    })
  })
}
