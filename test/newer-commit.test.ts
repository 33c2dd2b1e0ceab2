import { expect, test } from 'vitest'
import type { Loaded } from '../reconciler/load.ts'
import { newMemory } from '../reconciler/look.ts'
import { newerCommit } from '../reconciler/newer-commit.ts'
import type { Parts } from '../reconciler/parts.ts'
import { until } from './rig/until.ts'

test('a hint that comes while Git is being asked makes it be asked once more', async () => {
  const asked: ((commit: string) => void)[] = []
  const head = () => new Promise<string>((resolve) => asked.push(resolve))
  const hint = new EventTarget()
  const loaded = { commit: 'a', state: { host: { poll: 3_600_000 } } } as unknown as Loaded
  const watch = newerCommit({ source: { head } } as unknown as Parts, newMemory(), {
    loaded,
    services: ['web'],
    hint,
  })
  hint.dispatchEvent(new Event('moved'))
  expect(asked).toHaveLength(1)
  hint.dispatchEvent(new Event('moved'))
  expect(asked).toHaveLength(1)
  asked[0]?.('a')
  await until('it asks again', () => asked.length === 2, { withinMs: 2_000 })
  asked[1]?.('a')
  watch.end()
})
