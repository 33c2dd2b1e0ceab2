import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { errorTable, SamovarError } from '../reconciler/errors.ts'

const root = resolve(import.meta.dirname, '..')
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8')
const sources = readdirSync(join(root, 'reconciler'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && file !== 'errors.ts')
  .map((file) => readFileSync(join(root, 'reconciler', file), 'utf8'))
  .join('\n')

/** The rows of the one table of the page, without its heading. */
function rowsOfPage(): string[][] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(1, -1)
        .split(' | ')
        .map((cell) => cell.trim()),
    )
}

test('docs/errors.md has every code with its meaning and its solution, in the order of the table', () => {
  const expected = Object.entries(errorTable).map(([code, entry]) => [
    `\`${code}\``,
    entry.means,
    entry.solve,
  ])
  expect(rowsOfPage()).toEqual(expected)
})

describe('every code', () => {
  for (const [code, entry] of Object.entries(errorTable)) {
    test(`${code} is raised somewhere`, () => {
      expect(sources).toMatch(new RegExp(`(SamovarError|super)\\([^;]*?'${code}'`))
    })

    test(`${code} has whole sentences`, () => {
      for (const text of [entry.means, entry.solve]) expect(text).toMatch(/^[A-Z`].*\.$/)
    })
  }
})

test('an error without advice of its own carries that of the table', () => {
  expect(new SamovarError('changed', 'web was removed').next).toBe(errorTable.changed.solve)
  expect(new SamovarError('changed', 'web was removed', { next: 'Look.' }).next).toBe('Look.')
})
