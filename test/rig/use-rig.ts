import type Docker from 'dockerode'
import { dockerAt } from './leftovers.ts'
import type { RigAddress } from './rig.ts'

let projects = 0

export type RigInUse = RigAddress & {
  docker: Docker
  /** A Compose project name of this run that nobody else has. */
  project(purpose: string): string
  /** The name of a test image, as in `image('web', '1.1.0')`. */
  image(name: string, tag: string): string
}

/** The rig that `npm test` has started for the tests of the project `engine`. */
export function useRig(): RigInUse {
  const text = process.env['SAMOVAR_TEST_RIG']
  if (text === undefined) {
    throw new Error(
      'This test needs the rig: run it in the vitest project `engine` (npx vitest run --project engine FILE).',
    )
  }
  return rigInUse(JSON.parse(text) as RigAddress)
}

export function rigInUse(rig: RigAddress): RigInUse {
  return {
    ...rig,
    docker: dockerAt(rig.dockerHost),
    project: (purpose) => {
      projects += 1
      return `${rig.run}-${purpose}-${process.pid}-${projects}`
    },
    image: (name, tag) => `${rig.registry}/${name}:${tag}`,
  }
}
