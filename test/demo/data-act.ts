import { pushNotes } from '../rig/notes-image.ts'
import { pushPostgres } from '../rig/postgres-image.ts'
import { until } from '../rig/until.ts'
import { must, outcome, type Scene } from './acts.ts'
import { notesAt, withNotes } from './host-repository.ts'
import { startProbe } from './probe.ts'
import { inSeconds, type Row } from './screen.ts'
import type { Stage } from './stage.ts'

/**
 * A version that migrates database and files and then does not work. Its image alone could not be taken back: the old
 * version refuses data that is newer than itself.
 */
export async function dataAct({ stage, screen }: Scene): Promise<Row> {
  screen.act('A merge bumps notes to 2.0.0, which migrates its database and its files, and then answers 503')
  const { registry } = stage.host
  await pushPostgres(registry, stage.cacheFolder, (line) => screen.line(line))
  await pushNotes(registry, stage.cacheFolder, (line) => screen.line(line))
  const since = Date.now()
  await stage.git.commit('host', withNotes(stage.host), 'notes 1.0.0 with PostgreSQL')
  screen.line('pushed "notes 1.0.0 with PostgreSQL"')
  for (const service of ['postgres', 'notes']) {
    const past = await outcome(stage, { service, since })
    must(past.result === 'applied', `${service} was created: ${past.result}`, past.reason)
  }
  for (const text of ['buy tea', 'polish the samovar', 'invite everybody']) await addNote(stage, text)
  const before = await contents(stage)
  screen.good(`notes 1.0.0 serves; three notes are in its database and in its files`)

  const probe = startProbe(`${notesDoor(stage)}/healthz`)
  try {
    const from = probe.mark()
    const commit = await stage.git.commit('host', notesAt(stage.host, '2.0.0'), 'notes: 1.0.0 -> 2.0.0')
    screen.line(`pushed ${commit.slice(0, 8)} "notes: 1.0.0 -> 2.0.0"; notes has 12 s to become healthy`)
    const past = await outcome(stage, { service: 'notes', since: from })
    must(past.result === 'reverted', `history says ${past.result}`, past.reason)
    screen.line(`history: ${past.id} ${past.kind} notes: reverted; backup ${past.backup ?? 'none'}`)
    screen.line(`reason: ${past.reason}`)
    const after = await until('notes serve again', () => contents(stage), { withinMs: 20_000 })
    must(after === before, 'the notes are not what they were', after)
    screen.good('notes 1.0.0 serves; every row and every file is as it was (compared by MD5)')
    const figures = await probe.figures(from, probe.mark())
    screen.line(`users of notes meanwhile: longest gap ${inSeconds(figures.longestGap)}`)
    return { ...figures, act: 'with data', result: past.result, downtime: past.downtimeMs }
  } finally {
    probe.stop()
  }
}

const notesDoor = (stage: Stage): string => `http://127.0.0.1:${stage.host.notesPort}`

async function addNote(stage: Stage, text: string): Promise<void> {
  const url = `${notesDoor(stage)}/notes?text=${encodeURIComponent(text)}`
  const { ok } = await fetch(url, { method: 'POST', headers: { connection: 'close' } })
  must(ok, `the note "${text}" was not taken`)
}

/** Every row and every file with its MD5, as the application tells it. */
async function contents(stage: Stage): Promise<string> {
  const answer = await fetch(`${notesDoor(stage)}/contents`, { headers: { connection: 'close' } })
  if (!answer.ok) throw new Error(`/contents answers ${answer.status}`)
  return answer.text()
}
