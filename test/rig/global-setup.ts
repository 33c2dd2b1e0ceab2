import { type RigAddress, startRig } from './rig.ts'

/** For vitest: the real parts are started once and reach the tests through the environment. */
export default async function setUp(): Promise<() => Promise<void>> {
  const before = performance.now()
  const rig = await startRig()
  const { run, dockerHost, registry, environment, cacheFolder } = rig
  const address: RigAddress = { run, dockerHost, registry, environment, cacheFolder }
  Object.assign(process.env, environment, {
    SAMOVAR_TEST_RUN: run,
    SAMOVAR_TEST_RIG: JSON.stringify(address),
  })
  console.error(`rig: ready after ${((performance.now() - before) / 1000).toFixed(1)} s`)
  return () => rig.stop()
}
