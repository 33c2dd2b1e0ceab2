import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type DesiredStateReading, readDesiredState } from '../../reconciler/desired-state/read.ts'
import { findingLine } from '../../reconciler/desired-state.ts'

/** A host.yaml and a service file with nothing to find fault with. */
export const goodHost = 'name: git.example.com\nproject: gitea\ncompose: [compose/compose.yaml]\n'
export const goodService = 'image: docker.io/gitea/gitea\ntag: 1.22.6\n'

export type Checkout = AsyncDisposable & { root: string }

/** A checkout in a temporary folder; files by path, host.yaml, gitea.yaml and the Compose file are there anyway. */
export async function checkout(files: Record<string, string | Uint8Array | null> = {}): Promise<Checkout> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'samovar-desired-state-')))
  const all: Record<string, string | Uint8Array | null> = {
    'compose/compose.yaml': 'services: {}\n',
    'desired-state/host.yaml': goodHost,
    'desired-state/services/gitea.yaml': goodService,
    ...files,
  }
  for (const [path, content] of Object.entries(all)) {
    if (content === null) continue
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), content)
  }
  return { root, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) }
}

/** The finding lines of a checkout with these files. */
export async function linesOf(files: Record<string, string | Uint8Array | null>): Promise<string[]> {
  return (await readingOf(files)).findings.map(findingLine)
}

export async function readingOf(
  files: Record<string, string | Uint8Array | null>,
): Promise<DesiredStateReading> {
  await using place = await checkout(files)
  return await readDesiredState({ root: place.root })
}
