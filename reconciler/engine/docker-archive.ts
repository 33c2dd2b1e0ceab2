import { basename, dirname } from 'node:path/posix'
import { PassThrough, Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type Docker from 'dockerode'
import { SamovarError } from '../errors.ts'
import { refused, statusOf } from './docker-answers.ts'
import type { Engine } from './engine.ts'
import { completeArchive, folderEntry, topFolderIn } from './tar-archive.ts'

/**
 * Folders of containers as tar streams, through the Engine's archive endpoint. It works on containers that never ran
 * and through their volumes. Owners go by number, times by the second. Not in such a stream: sockets, extended
 * attributes other than capabilities. The engine loses the setuid bit of a file that has several names.
 */
export function dockerArchive(docker: Docker): Pick<Engine, 'readFiles' | 'writeFiles'> {
  /** Without `copyUIDGID`: the engine would give every file to the user of the container's configuration. */
  const put = async (
    instance: string,
    folder: string,
    [tar, through]: [Readable, Transform],
  ): Promise<void> => {
    const body = new PassThrough()
    const aborted = new AbortController()
    let failed: unknown
    const sent = pipeline(tar, through, completeArchive(`the archive for ${folder}`), body).catch(
      (error: unknown) => {
        failed = error
        aborted.abort()
      },
    )
    try {
      await docker.getContainer(instance).putArchive(body, {
        path: folder,
        noOverwriteDirNonDir: '1',
        abortSignal: aborted.signal,
      })
    } catch (error) {
      throw failed ?? refusedFolder(error, `writing into ${folder}`, instance)
    } finally {
      body.destroy()
      tar.destroy()
      await sent
    }
  }

  return {
    async readFiles(instance, folder) {
      const doing = `reading ${folder} of container ${instance.slice(0, 12)}`
      const stream = await docker
        .getContainer(instance)
        .getArchive({ path: `${folder}/.` })
        .catch((error: unknown) => {
          throw refusedFolder(error, doing, instance)
        })
      const checked = completeArchive(`the copy of ${folder}`)
      stream.on('error', (error) => checked.destroy(refused(error, doing)))
      checked.on('close', () => (stream as Readable).destroy())
      return stream.pipe(checked)
    },

    async writeFiles(instance, folder, tar) {
      const { through, top } = topFolderIn()
      await put(instance, folder, [tar, through])
      const own = top()
      // The engine leaves out the entry of the folder itself, so its owner, mode and time come by way of its parent.
      if (own === null || folder === '/') return
      const entry = Readable.from([folderEntry({ ...own, name: basename(folder) })])
      await put(instance, dirname(folder), [entry, new PassThrough()])
    },
  }
}

function refusedFolder(error: unknown, doing: string, instance: string): SamovarError {
  if (statusOf(error) !== 404) return refused(error, doing)
  return new SamovarError(
    'not-found',
    `${doing}: there is no such container or folder (${instance.slice(0, 12)})`,
    { cause: error },
  )
}
