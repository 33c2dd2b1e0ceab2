import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { SamovarError } from '../reconciler/errors.ts'
import { giteaWork } from '../reconciler/gitea-work.ts'
import { openGiteaStage } from './pull-requests/gitea-stage.ts'

test('a repository that cannot be read is not asked twice a second, also when a hint waits for it', async () => {
  await using stage = await openGiteaStage({ 'README.md': 'one\n' })
  stage.journal.hintRepository('docker.io/library/web', 0)
  const stopping = new AbortController()
  const began = stage.parts.now()
  let asked = 0
  const away = async () => {
    asked += 1
    throw new SamovarError('source-unreachable', 'Git is away')
  }
  const problems: string[] = []
  const work = giteaWork(
    {
      ...stage.parts,
      source: { ...stage.parts.source, lastGood: () => null, fetch: away },
      clock: {
        ...stage.parts.clock,
        async sleep(milliseconds) {
          stage.wait(milliseconds)
          if (stage.parts.now() - began > 120_000) stopping.abort()
          await nextTurn()
        },
      },
    },
    {
      stopping: stopping.signal,
      outlook: () => null,
      merged: () => undefined,
      told: {
        teller: { problem: (subject) => void problems.push(subject), well: () => undefined },
        did: () => undefined,
        looked: () => undefined,
        gaveUp: () => undefined,
      },
    },
  )
  await work.run()
  // Looking and sweeping, each at most every 15 s.
  expect(asked).toBeGreaterThan(1)
  expect(asked).toBeLessThanOrEqual(18)
  expect(problems).toContain('gitea work')
})
