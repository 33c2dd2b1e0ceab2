import { spent } from '../wording.ts'
import type { Event, News, NewsOperation, Version } from './news.ts'
import type { Delivery } from './notifier.ts'
import { htmlOf, type Section } from './report-html.ts'

export type Report = Pick<Delivery, 'subject' | 'text' | 'html' | 'document'>

/** Where more can be read; a null is not known. */
export type Links = { operation: string | null; commit: string | null; pullRequest: string | null }

/**
 * News as a mail and as a document. The text is for people who are woken by it: what is it, does it concern me now,
 * what do I do. Everything in it may come from a container or a commit: it is one line where one line is due, without
 * signs that steer, and escaped in HTML.
 */
export function reportOf(news: News, links: Links): Report {
  const subject = subjectLine(news)
  const sections = sectionsOf(news, links)
  const foot = `Samovar on ${plain(news.host)} · ${moment(news.at, news.timezone)}`
  return {
    subject,
    text: textOf(headline(news), sections, foot),
    html: htmlOf({ title: headline(news), tone: tones[news.event], sections, foot }),
    document: documentOf(news, links),
  }
}

const tones: Record<Event, Parameters<typeof htmlOf>[0]['tone']> = {
  applied: 'good',
  recovered: 'good',
  test: 'good',
  untouched: 'warning',
  reverted: 'warning',
  'backup-failed': 'bad',
  'job-failed': 'bad',
  stuck: 'bad',
}

/** `[git.example.com] gitea reverted: 1.22.6 failed, 1.22.3 runs again`; a phone shows some 40 characters of it. */
function subjectLine(news: News): string {
  const again = news.since !== null && news.event !== 'recovered' ? 'still: ' : ''
  return plain(`[${news.host}] ${again}${headline(news)}`, 180)
}

function headline({ event, about, operation, host }: News): string {
  const name = plain(about, 80)
  const [from, to] = [tagOf(operation?.from), tagOf(operation?.to)]
  switch (event) {
    case 'applied':
      return `${name} applied: ${appliedTo(operation, from, to)}`
    case 'reverted':
      if (operation === null) return `${name} reverted: what ran before runs again`
      return `${name} reverted: ${to} failed, ${from} runs again`
    case 'untouched':
      return operation?.from == null
        ? `${name} untouched: ${to} was not rolled out`
        : `${name} untouched: ${from} runs on${from === to ? '' : `, ${to} was not rolled out`}`
    case 'stuck':
      return operation?.from == null && operation?.to == null
        ? `${name} stuck: a person must look`
        : `${name} stuck: ${from} -> ${to}, a person must look`
    case 'backup-failed':
      return `${/^(backup|verification|restore|scheduled) /.test(name) ? name : `backup before the update of ${name}`} failed`
    case 'job-failed':
      return `${name} failed`
    case 'recovered':
      return `${name} recovered${to === '' || operation?.kind === 'job' ? '' : `: ${to} runs`}`
    case 'test':
      return `test: ${plain(host)} can tell you`
    default:
      return event satisfies never
  }
}

const tagOf = (version: Version | null | undefined): string =>
  version == null ? '' : plain(version.tag, 40) || 'an unnamed version'

function appliedTo(operation: NewsOperation | null, from: string, to: string): string {
  if (operation?.kind === 'remove') return `it is stopped (${from})`
  if (from === '') return to
  if (from !== to) return `${from} -> ${to}`
  return operation?.from?.digest === operation?.to?.digest ? `${to}, configuration` : `${to}, another image`
}

function sectionsOf(news: News, links: Links): Section[] {
  const { operation, check, lastLines, did, next } = news
  const lines = (all: string[]) => all.map((each) => plain(each, 1_200))
  return [
    { head: 'What happened', lines: lines(whatHappened(news)) },
    { head: 'What you should do', lines: lines(next) },
    ...(check === null
      ? []
      : [{ head: 'Failing check', lines: lines([checkInWords(check, news.happened)]) }]),
    { head: 'What Samovar did', lines: lines(did) },
    ...(operation === null ? [] : [{ head: 'Version', facts: versionFacts(operation) }]),
    { head: 'Last log lines', log: lastLines.map((line) => visible(line, 400).trimEnd()) },
    { head: 'More', links: linksOf(links) },
  ].filter((section) => Object.values(section).some((value) => Array.isArray(value) && value.length > 0))
}

/** What it said stands in the reason already, most often. */
function checkInWords({ name, said }: NonNullable<News['check']>, happened: string): string {
  if (name === '' || said === '') return name || said
  return happened.includes(said) ? name : `${name}: ${said}`
}

const rolledOut: Partial<Record<NewsOperation['kind'], string>> = {
  remove: 'It left the desired state.',
  rollback: 'A person had it go back to what ran before.',
}

function whatHappened({ event, happened, since, operation, timezone, about }: News): string[] {
  const lasted =
    since === null
      ? []
      : [
          event === 'recovered'
            ? `It was not well since ${moment(since, timezone)}.`
            : `It is so since ${moment(since, timezone)}.`,
        ]
  const words: Record<Event, string> = {
    applied: rolledOut[operation?.kind ?? 'replace'] ?? 'The change was rolled out.',
    reverted: 'The new version did not hold and was put back.',
    untouched: 'The change was not made; nothing was replaced.',
    stuck: 'The change failed, and so did the way back.',
    'backup-failed': `There is no good new copy: ${about} failed.`,
    'job-failed': 'The job did not succeed.',
    recovered: 'It is well again.',
    test: 'This is a test. Nothing happened.',
  }
  const did = operation?.differed ?? []
  const said = happened === '' ? [] : [`${happened.replace(/\.$/, '')}.`]
  return [words[event], ...said, ...lasted, ...did.slice(0, 8).map((each) => `Differed: ${each}`)]
}

function versionFacts(operation: NewsOperation): [string, string][] {
  const { from, to, downtimeMs, backup, finishedAt, startedAt, commit, id } = operation
  const facts: [string, string][] = [
    ['From', versionInWords(from, to)],
    ['To', versionInWords(to, from)],
    ['Downtime', downtimeMs === null ? '' : spent(downtimeMs)],
    ['Took', finishedAt === null ? '' : spent(finishedAt - startedAt)],
    ['Backup', backup ?? ''],
    ['Commit', commit.slice(0, 10)],
    ['Operation', id],
  ]
  return facts.filter(([, value]) => value !== '').map(([name, value]) => [name, plain(value, 200)])
}

/** `1.22.6 (0123abcd)`, with the image when it is another one. */
function versionInWords(version: Version | null, other: Version | null): string {
  if (version === null) return ''
  const digest = version.digest.replace('sha256:', '').slice(0, 8)
  const name = other !== null && other.image !== version.image ? `${version.image} ` : ''
  return `${name}${version.tag}${digest === '' ? '' : ` (${digest})`}`
}

function linksOf(links: Links): [string, string][] {
  const all: [string, string | null][] = [
    ['This operation, step by step', links.operation],
    ['The commit', links.commit],
    ['The pull request that takes it back', links.pullRequest],
  ]
  return all.flatMap(([name, address]): [string, string][] =>
    address !== null && /^https?:\/\/[^\s<>"]+$/.test(address) ? [[name, address]] : [],
  )
}

function textOf(title: string, sections: Section[], foot: string): string {
  const body = sections.flatMap(({ head, lines = [], facts = [], log = [], links = [] }) => {
    const width = Math.max(0, ...facts.map(([name]) => name.length))
    return [
      head,
      ...lines.map((line) => `- ${line}`),
      ...facts.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
      ...log.map((line) => `  | ${line}`),
      ...links.map(([name, address]) => `  ${name}:\n  ${address}`),
      '',
    ]
  })
  return [title, '', ...body, '-- ', foot, ''].join('\n')
}

/** What a webhook is sent. Fields are added, never renamed; times are ISO 8601 in UTC. */
function documentOf(news: News, links: Links): Delivery['document'] {
  const { event, host, about, at, since, happened, operation, check, lastLines, did, next } = news
  const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())
  return {
    event,
    host,
    about,
    at: time(at),
    since: time(since),
    happened,
    operation:
      operation === null
        ? null
        : { ...operation, startedAt: time(operation.startedAt), finishedAt: time(operation.finishedAt) },
    check,
    lastLines,
    did,
    next,
    links,
  }
}

/** `2026-11-22 03:15 Europe/Berlin`: the reader may be elsewhere. */
function moment(at: number, timezone: string): string {
  const style = { dateStyle: 'short', timeStyle: 'short' } as const
  return `${new Intl.DateTimeFormat('sv-SE', { ...style, timeZone: timezone }).format(at)} ${timezone}`
}

/** Controls, and marks that turn the direction of text or hide in it. */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]+/gu

/** Text of others on one line of bounded length. */
const plain = (text: string, longest = 200): string => visible(text.trim(), longest).trim()

function visible(text: string, longest: number): string {
  const line = text.slice(0, 4 * longest).replaceAll(unseen, ' ')
  return line.length <= longest ? line : `${line.slice(0, longest - 1)}…`
}
