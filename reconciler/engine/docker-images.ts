import { statfs } from 'node:fs/promises'
import type Docker from 'dockerode'
import { SamovarError } from '../errors.ts'
import { refused, statusOf } from './docker-answers.ts'
import { digestsOf } from './docker-look.ts'
import type { Engine, ImageReference, LocalImage, PullProgress } from './engine.ts'
import { registryLogin } from './registry-login.ts'

type Images = Pick<Engine, 'resolve' | 'images' | 'holdImage' | 'dropImage' | 'freeDisk'>

/** @param options.local true when the engine's disk is this machine's */
export function dockerImages(docker: Docker, options: { local: boolean }): Images {
  const find = async (image: ImageReference): Promise<LocalImage | null> => {
    try {
      const seen = await docker.getImage(`${image.name}@${image.digest}`).inspect()
      return {
        id: seen.Id,
        digests: digestsOf(seen.RepoDigests),
        tags: seen.RepoTags ?? [],
        bytes: seen.Size,
        createdAt: Date.parse(seen.Created) || 0,
      }
    } catch (error) {
      if (statusOf(error) === 404) return null
      throw refused(error, `inspecting image ${image.name}`)
    }
  }

  return {
    async resolve(reference) {
      const authconfig = await registryLogin(reference)
      try {
        const answer = (await docker.getImage(reference).distribution({ authconfig })) as {
          Descriptor: { digest: string }
        }
        return answer.Descriptor.digest
      } catch (error) {
        throw refused(error, `asking the registry for ${reference}`, 'image-unavailable')
      }
    },

    async images() {
      const list = await docker.listImages().catch((error: unknown) => {
        throw refused(error, 'listing the images')
      })
      return list.map((image) => ({
        id: image.Id,
        digests: digestsOf(image.RepoDigests),
        tags: image.RepoTags ?? [],
        bytes: image.Size,
        createdAt: image.Created * 1000,
      }))
    },

    async holdImage(image, progress) {
      const here = await find(image)
      if (here !== null) return { ...here, pulled: false }
      await pull(docker, image, progress)
      const pulled = await find(image)
      if (pulled === null)
        throw new SamovarError(
          'image-unavailable',
          `${image.name}@${image.digest} was pulled, but is not there`,
        )
      return { ...pulled, pulled: true }
    },

    async dropImage(image) {
      const doing = `removing image ${image.name}@${image.digest}`
      try {
        const users = await docker.listContainers({ all: true, filters: { ancestor: [image.id] } })
        if (users.length > 0) return false
        // By name and digest, never by id or forced: other names of the same image stay what they are.
        await docker.getImage(`${image.name}@${image.digest}`).remove({ force: false, noprune: false })
        return true
      } catch (error) {
        if (statusOf(error) === 404) return true
        if (statusOf(error) === 409) return false
        throw refused(error, doing)
      }
    },

    async freeDisk() {
      if (!options.local) return null
      const { DockerRootDir } = (await docker.info().catch((error: unknown) => {
        throw refused(error, 'asking for the data folder')
      })) as { DockerRootDir?: string }
      if (DockerRootDir === undefined) return null
      // In a container the engine's folder is not this one's: then nobody can tell from here.
      const disk = await statfs(DockerRootDir).catch(() => null)
      return disk === null ? null : disk.bavail * disk.bsize
    },
  }
}

/** The error of a pull that fails half-way comes inside the progress stream, with HTTP 200 already sent. */
async function pull(
  docker: Docker,
  image: ImageReference,
  progress?: (seen: PullProgress) => void,
): Promise<void> {
  const reference = `${image.name}@${image.digest}`
  const authconfig = await registryLogin(image.name)
  let stream: NodeJS.ReadableStream
  try {
    stream = await docker.pull(reference, {
      authconfig,
      ...(image.platform === undefined ? {} : { platform: image.platform }),
    })
  } catch (error) {
    throw refused(error, `the pull of ${reference}`, 'image-unavailable')
  }
  const layers = new Map<string, { bytes: number; total: number; done: boolean }>()
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(
      stream,
      (error) => {
        if (error === null) resolve()
        else
          reject(
            new SamovarError('image-unavailable', `the pull of ${reference} failed: ${error.message}`, {
              cause: error,
            }),
          )
      },
      (event: PullEvent) => {
        if (event.id !== undefined) note(layers, event)
        progress?.(sumOf(layers))
      },
    )
  })
}

type PullEvent = { id?: string; status?: string; progressDetail?: { current?: number; total?: number } }

function note(layers: Map<string, { bytes: number; total: number; done: boolean }>, event: PullEvent): void {
  const id = event.id ?? ''
  if (event.status === 'Pulling fs layer' || event.status === 'Already exists') {
    layers.set(id, { bytes: 0, total: 0, done: event.status === 'Already exists' })
  }
  const layer = layers.get(id)
  if (layer === undefined) return
  if (event.status === 'Downloading') {
    layer.bytes = event.progressDetail?.current ?? layer.bytes
    layer.total = event.progressDetail?.total ?? layer.total
  }
  if (event.status === 'Download complete' || event.status === 'Pull complete') layer.bytes = layer.total
  if (event.status === 'Pull complete') layer.done = true
}

function sumOf(layers: Map<string, { bytes: number; total: number; done: boolean }>): PullProgress {
  const all = [...layers.values()]
  return {
    bytes: all.reduce((sum, layer) => sum + layer.bytes, 0),
    total: all.reduce((sum, layer) => sum + layer.total, 0),
    layersDone: all.filter((layer) => layer.done).length,
    layers: all.length,
  }
}
