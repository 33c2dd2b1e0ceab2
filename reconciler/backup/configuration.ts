import { createReadStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { extract, pack } from 'tar-stream'
import { type ComposeModel, documentOf } from '../compose/model.ts'
import type { DesiredState } from '../desired-state.ts'
import { SamovarError } from '../errors.ts'
import type { Source } from '../git/checkout.ts'

/** What the configuration of a backup is made of. */
export type Configuration = {
  source: Source
  commit: string
  /** The branch that was followed. */
  branch: string
  /** Folder of the desired state in the repository. */
  directory: string
  /** Address of the host repository, without a login. */
  repository: string
  state: DesiredState
  model: ComposeModel
  secrets: ReadonlySet<string>
  /** Where a large file may lie for a moment. */
  stateDir: string
}

export const bundleName = 'repository.bundle'

/**
 * The configuration as a tar stream: the repository up to the commit (a Git bundle, so that an empty host can be set
 * up although its Gitea does not exist yet), the resolved Compose model without secrets, and the desired state. The
 * last two are for readers; a restore uses the repository.
 *
 * @throws SamovarError `not-found` when the clone does not have the commit
 */
export async function configurationTar(configuration: Configuration): Promise<Readable> {
  const { source, commit, state, model, secrets, stateDir } = configuration
  const folder = await mkdtemp(join(stateDir, 'bundle-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    const bundle = join(folder, bundleName)
    await source.bundle(commit, bundle)
    const { size } = await stat(bundle)
    const tar = pack()
    const texts = {
      'commit.json': {
        commit,
        branch: configuration.branch,
        directory: configuration.directory,
        repository: configuration.repository,
      },
      // Before it is rendered: that doubles each $, and a secret with one would not be found.
      'compose.json': documentOf(withoutSecrets(model, secrets) as ComposeModel),
      'desired-state.json': withoutSecrets(state, secrets),
    }
    for (const [name, content] of Object.entries(texts))
      tar.entry({ name: `./${name}`, mode: 0o600 }, `${JSON.stringify(content, null, 2)}\n`)
    const entry = tar.entry({ name: `./${bundleName}`, mode: 0o600, size }, (error) => {
      if (error) tar.destroy(error)
      else tar.finalize()
    })
    createReadStream(bundle)
      .on('error', (error) => tar.destroy(error))
      .pipe(entry)
    const plain = Readable.from(tar, { objectMode: false })
    plain.once('close', () => void remove())
    return plain
  } catch (error) {
    await remove()
    throw error
  }
}

/**
 * Reads the configuration of a backup: the repository goes into a file; which commit it is of is answered.
 *
 * @param plain as `configurationTar` made it
 * @param write takes the bundle, to its end
 * @throws SamovarError `backup-damaged`
 */
export async function readConfiguration(
  plain: Readable,
  write: (bundle: Readable) => Promise<void>,
): Promise<CommitFile> {
  let commit: CommitFile | null = null
  let bundled = false
  const tar = extract()
  tar.on('entry', (header, stream, next) => {
    const done = (error?: unknown) => next(error as Error | undefined)
    if (header.name === './commit.json') {
      const chunks: Buffer[] = []
      stream.on('data', (chunk) => chunks.push(chunk as Buffer))
      stream.on('end', () => {
        try {
          commit = commitFileOf(Buffer.concat(chunks).toString('utf8'))
          done()
        } catch (error) {
          done(error)
        }
      })
    } else if (header.name === `./${bundleName}`) {
      bundled = true
      write(Readable.from(stream, { objectMode: false })).then(() => done(), done)
    } else stream.on('end', () => done()).resume()
  })
  plain.on('error', (error) => tar.destroy(error))
  plain.pipe(tar)
  await finished(tar)
  if (commit === null || !bundled)
    throw new SamovarError('backup-damaged', 'its configuration has no repository')
  return commit
}

/** The commit, and where it came from. */
export type CommitFile = { commit: string; branch: string; directory: string; repository: string }

function commitFileOf(text: string): CommitFile {
  const { commit, branch, directory, repository } = JSON.parse(text) as Record<string, unknown>
  const texts = [commit, branch, directory, repository]
  if (texts.some((each) => typeof each !== 'string'))
    throw new SamovarError('backup-damaged', 'its configuration does not say of which commit it is')
  return { commit, branch, directory, repository } as CommitFile
}

/** Text of a document may hold a secret anywhere: Compose has put it into commands, labels and addresses. */
function withoutSecrets(document: unknown, secrets: ReadonlySet<string>): unknown {
  const longest = [...secrets].filter((secret) => secret !== '').toSorted((a, b) => b.length - a.length)
  const clean = (text: string): string =>
    longest.reduce((result, secret) => result.replaceAll(secret, '***'), text)
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return clean(value)
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [clean(name), walk(each)]))
  }
  return walk(document)
}
