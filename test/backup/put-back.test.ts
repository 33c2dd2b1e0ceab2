import { expect, test } from 'vitest'
import { namesOf } from '../../reconciler/backup/put-back.ts'

const operation = '20261122-031502-9f3c'

test('databases whose long names begin alike are loaded, switched and kept under names of their own', () => {
  const one = namesOf('very_long_application_production', operation)
  const other = namesOf('very_long_application_production_queue', operation)
  const all = [...Object.values(one), ...Object.values(other)]
  expect(new Set(all).size).toBe(6)
})

test('names stay within the 63 bytes that PostgreSQL keeps, also where a letter has several', () => {
  for (const database of ['gitea', 'x'.repeat(63), 'ö'.repeat(31), '日本語'.repeat(7)])
    for (const name of Object.values(namesOf(database, operation))) {
      expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63)
      expect(name).not.toContain('\uFFFD')
    }
})
