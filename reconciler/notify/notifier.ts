/** One message for one address. */
export type Delivery = {
  /** Names this message for ever: the same when it is sent once more after a crash. Letters, digits, `@`, `.` and `-`. */
  id: string
  /** The message that this one belongs to, as in "it is well again"; null when it stands alone. */
  about: string | null
  /** Mail address, or address of the webhook: not to be shown. */
  to: string
  /** Milliseconds since 1970: when that happened which is told. */
  at: number
  subject: string
  text: string
  html: string
  /** The same for programs. */
  document: { event: string; host: string } & Record<string, unknown>
}

/** A way to tell people, or their programs, what happened. Who is told what is decided elsewhere. */
export type Notifier = {
  /**
   * Resolves when the other side has taken the message over, and not before. Nothing of it is kept here: after a
   * failure or a crash it is the caller who sends it again, with the same `id`, by which the other side can tell.
   * Whatever the texts hold, they arrive as texts: no header, address or recipient can be made of them.
   * Ends within a minute, and soon after the signal fires; what was begun is closed then.
   *
   * @throws SamovarError `notify-unreachable` when the other side was away or did not let us in: everything that goes
   * there fails likewise; `notify-refused` when it did not take this message; `interrupted` when the signal fired.
   * The message names no password and no address of a webhook
   */
  send(delivery: Delivery, signal: AbortSignal): Promise<void>
  /**
   * Looks whether it would work, as far as that can be seen without telling anybody anything.
   * @returns a sentence for a person
   * @throws as `send`
   */
  check(signal: AbortSignal): Promise<string>
}

/** The notifiers of a host; `mail` is null when no way for mail is named. */
export type Notifiers = { mail: Notifier | null; webhook: Notifier }
