import Docker from 'dockerode'
import { samovarLabels } from '../../reconciler/engine/engine.ts'

/** The label of what tests create outside of a Compose project; its value is the run. */
export const testLabel = 'samovar.test'

/** A client for a DOCKER_HOST as the rig has it. */
export function dockerAt(dockerHost: string): Docker {
  if (dockerHost.startsWith('unix://')) return new Docker({ socketPath: dockerHost.slice('unix://'.length) })
  return new Docker()
}

/**
 * Removes the containers, networks, volumes and images of one run: what has its label or is of a Compose project
 * whose name begins with the run, and the scratch containers that a killed process left on its volumes. Nothing else.
 *
 * @param registry the run's registry: its images are those named after it
 */
export async function removeFromEngine(dockerHost: string, run: string, registry: string): Promise<void> {
  const docker = dockerAt(dockerHost)
  const isOurs = (labels: Record<string, string> | undefined | null) =>
    labels?.[testLabel] === run || (labels?.['com.docker.compose.project'] ?? '').startsWith(`${run}-`)
  const volumes = (await docker.listVolumes()).Volumes ?? []
  const ourVolumes = new Set(volumes.filter((each) => isOurs(each.Labels)).map((each) => each.Name))
  const isOurScratch = ({ Labels, Mounts }: Docker.ContainerInfo) =>
    Labels[samovarLabels.scratch] !== undefined && Mounts.some((each) => ourVolumes.has(each.Name ?? ''))
  for (const container of await docker.listContainers({ all: true })) {
    if (isOurs(container.Labels) || isOurScratch(container))
      await unlessGone(docker.getContainer(container.Id).remove({ force: true, v: true }))
  }
  for (const network of await docker.listNetworks()) {
    if (isOurs(network.Labels)) await unlessGone(docker.getNetwork(network.Id).remove())
  }
  for (const name of ourVolumes) await unlessGone(docker.getVolume(name).remove())
  for (const image of await docker.listImages()) {
    const names = [...(image.RepoTags ?? []), ...(image.RepoDigests ?? [])].filter((name) =>
      name.startsWith(`${registry}/`),
    )
    for (const name of names) await unlessGone(docker.getImage(name).remove({ force: true }))
  }
}

/** Gone already is as good as removed; so is a removal that is under way (409). */
async function unlessGone(removal: Promise<unknown>): Promise<void> {
  try {
    await removal
  } catch (error) {
    const status = (error as { statusCode?: number }).statusCode
    if (status !== 404 && status !== 409) throw error
  }
}
