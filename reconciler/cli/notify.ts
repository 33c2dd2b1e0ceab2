import { randomBytes } from 'node:crypto'
import type { Host } from '../desired-state.ts'
import { reasonOf, SamovarError } from '../errors.ts'
import { inForce } from '../in-force.ts'
import { newMemory } from '../look.ts'
import { newsWithout } from '../notify/news.ts'
import { recipientsOf, shownRecipient, type Target } from '../notify/recipients.ts'
import { reportOf } from '../notify/report.ts'
import { send } from '../notify-work.ts'
import { buildParts, type Parts } from '../parts.ts'
import { readSettings } from '../settings.ts'
import { notificationId } from '../tell-people.ts'
import { type Console, printable } from './console.ts'
import { stopSignal } from './stop-signal.ts'
import { table } from './table.ts'
import { type Call, type ExitCode, exit, type Verb } from './verb.ts'
import { plural, sentenceAndNext, spent } from './wording.ts'

export const notifyVerb: Verb = {
  name: 'notify',
  usage: 'test',
  summary: 'send a test message to everybody whom `notify` in host.yaml names',
  about:
    'Sends one message to each address and each webhook of `notify` now, whatever `on` says, and tells how it went. A\nmail that was taken by its first server can still be lost further on: look whether it arrived.',
  exits: [
    [exit.fine, 'every message was taken'],
    [exit.error, 'one was not, or nobody is named; the lines say what to do'],
  ],
  options: {},
  optionTexts: {},
  names: [1, 1],
  json: true,
  run,
}

type Tried = { recipient: string; ok: boolean; ms: number; problem: string | null; next: string | null }

async function run({ names, console }: Call): Promise<ExitCode> {
  if (names[0] !== 'test')
    throw new SamovarError('settings-invalid', `samovar notify does not know "${names[0]}"`, {
      next: 'samovar notify test',
    })
  using stop = stopSignal(console)
  const parts = await buildParts(readSettings({ repository: true }), stop.signal)
  try {
    const { host } = (await inForce(parts, newMemory())).state
    const tried = await tryAll(parts, host, stop.signal)
    console.document(tried)
    if (tried.length === 0) {
      console.problem(`${console.paint('red', 'samovar:')} \`notify\` in host.yaml names nobody`)
      console.problem('next: add notify: [{ mail: [ops@example.com], on: [reverted, stuck, backup-failed] }]')
      return exit.error
    }
    return tellTried(console, tried)
  } finally {
    await parts.close()
  }
}

async function tryAll(parts: Parts, host: Host, signal: AbortSignal): Promise<Tried[]> {
  const name = `test ${randomBytes(8).toString('hex')}`
  const about = {
    place: { host: host.name, timezone: host.timezone },
    subject: 'test',
    since: null,
    at: parts.now(),
  }
  const news = newsWithout('test', about, {
    happened: 'Somebody called samovar notify test on this host',
    next: ['Nothing: that you read this is what was to be shown.'],
  })
  const report = reportOf(news, { operation: null, commit: null, pullRequest: null })
  const one = async ([recipient, target]: [string, Target]): Promise<Tried> => {
    const began = performance.now()
    const id = notificationId(`${name}\n${recipient}`, host.name)
    const took = () => Math.round(performance.now() - began)
    const shown = shownRecipient(recipient)
    try {
      await send(parts, target, { id, about: null, to: target.to, at: news.at, ...report }, signal)
      return { recipient: shown, ok: true, ms: took(), problem: null, next: null }
    } catch (error) {
      const { sentence, next } = sentenceAndNext(reasonOf(error))
      return { recipient: shown, ok: false, ms: took(), problem: sentence, next }
    }
  }
  return Promise.all([...recipientsOf(host)].map(one))
}

function tellTried(console: Console, tried: Tried[]): ExitCode {
  const rows = tried.map(({ recipient, ok, ms, problem }) => [
    { text: recipient },
    { text: ok ? 'taken' : 'failed', paint: (text: string) => console.paint(ok ? 'green' : 'red', text) },
    { text: spent(ms) },
    { text: printable(problem ?? '') },
  ])
  for (const line of table(['RECIPIENT', 'RESULT', 'TOOK', 'WHY'], rows)) console.line(line)
  const failed = tried.filter((each) => !each.ok)
  const nexts = new Set(failed.map((each) => each.next).filter((next) => next !== null))
  for (const next of nexts) console.line(`next: ${printable(next)}`)
  console.line(
    failed.length === 0
      ? `${plural(tried.length, 'message')} taken; look whether ${tried.length === 1 ? 'it' : 'they'} arrived`
      : `${plural(failed.length, 'message')} of ${tried.length} failed`,
  )
  return failed.length === 0 ? exit.fine : exit.error
}
