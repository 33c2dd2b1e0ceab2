import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'vitest'
import { until } from '../rig/until.ts'
import type { NotesHost } from './notes-host.ts'

export type Confirmed = { text: string; at: number }

/**
 * Somebody who writes one note after the other, up to the first that is not confirmed: the stop of the service. What
 * is confirmed, and when the answer was there, is what must be found again.
 */
export async function startWriter(host: NotesHost) {
  const confirmed: Confirmed[] = []
  const round = Math.random().toString(36).slice(2, 8)
  let told = false
  await until('notes serve', async () => (await host.contents()) !== null, { withinMs: 60_000 })
  const work = (async () => {
    for (let number = 1; !told; number += 1) {
      const text = `${round} ${number}`
      if (!(await host.add(text))) return
      confirmed.push({ text, at: Date.now() })
      await pause(5)
    }
  })()
  await until('the writer writes', () => confirmed.length > 2, { withinMs: 30_000 })
  return {
    confirmed,
    /** Waits until it was turned away, or tells it to end. */
    ended: () => work,
    async [Symbol.asyncDispose]() {
      told = true
      await work
    },
  }
}

/** What the database and the volume have, read from themselves: the texts, of which every one has its file. */
export async function notesOf(host: NotesHost): Promise<string[]> {
  const rows = await host.sql(`select id || ' ' || md5(text) || ' ' || text from note order by id`)
  const files = await host.files()
  return rows
    .split('\n')
    .filter((row) => row !== '')
    .map((row) => {
      const [id, sum, ...text] = row.split(' ')
      expect(files, `the file of row ${id}`).toHaveProperty([`./notes/${id}.txt`], sum)
      return text.join(' ')
    })
}

/** Everything that was confirmed, in its order, and at most the one whose answer was cut off by the stop. */
export function expectAll(there: string[], confirmed: string[]): void {
  expect(there.slice(0, confirmed.length)).toEqual(confirmed)
  expect(there.length - confirmed.length).toBeLessThanOrEqual(1)
}
