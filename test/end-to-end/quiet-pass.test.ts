import { expect, test } from 'vitest'
import { countedEngine } from '../bench/counted-engine.ts'
import { hostWithServices, rollOutAll } from '../bench/many-services.ts'
import { processOn } from '../bench/quiet-pass.ts'

test('a pass over services that are in sync asks the engine three times at most', async () => {
  await using host = await hostWithServices('quiet', 3)
  await rollOutAll(host)
  await using engine = await countedEngine(host.rig.dockerHost)
  await using samovar = await processOn(host, engine.dockerHost)
  await samovar.onePass()
  expect(engine.taken().length).toBeGreaterThan(3)
  await samovar.onePass()
  const calls = engine.taken()
  expect(calls).toContain('GET /containers/json')
  expect(calls.length, calls.join(', ')).toBeLessThanOrEqual(3)
})
