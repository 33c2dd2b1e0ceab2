import { dockerAt } from './leftovers.ts'

/**
 * Proves that the engine can pull from the run's registry. One on another machine, in a virtual machine or outside
 * of this container has a loopback of its own; throws a sentence that says so.
 */
export async function proveReachable(dockerHost: string, registry: string): Promise<void> {
  const docker = dockerAt(dockerHost)
  try {
    const progress = await docker.pull(`${registry}/job:1.0.0`)
    await new Promise<void>((resolve, reject) => {
      docker.modem.followProgress(progress, (error) => (error === null ? resolve() : reject(error)))
    })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(
      `The Docker Engine at ${dockerHost} cannot pull from the registry of the tests at ${registry} (${why}). ` +
        'It has to run on this machine, outside of any other container; SAMOVAR_TEST_ENGINE=private starts one here (root on Debian or Ubuntu).',
      { cause: error },
    )
  }
}
