import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { withMachineLock } from './machine-lock.ts'
import { candidateVersion, onlySuite, type Say, unpackPackages, withLibraries } from './packages.ts'
import { mustRun } from './process.ts'
import { diffIdOf, type Layer, layerOfGzip } from './push-image.ts'

type Wanted = { packages: string[]; needs?: RegExp; suite?: string }

/**
 * An image layer of Debian packages and what they need, unpacked and not installed: none of their scripts has run.
 * Kept compressed in the cache under the version of the first package and what was wanted of it.
 *
 * @param wanted.packages the first one gives the name and the version
 * @param wanted.needs which dependencies are followed; by default libraries only
 * @param wanted.suite of Debian, where this machine's own has no such package; everything is from there then
 */
export async function debianLayer(cacheFolder: string, wanted: Wanted, say: Say): Promise<Layer> {
  const [name = ''] = wanted.packages
  const folder = join(cacheFolder, name)
  const version = await candidateVersion(name)
  const wish = createHash('sha256')
    .update(`${wanted.packages.join(' ')} ${String(wanted.needs)}`)
    .digest('hex')
    .slice(0, 8)
  const file = join(folder, `${version ?? wanted.suite ?? 'bookworm'}-${wish}.tar.gz`)
  await mkdir(folder, { recursive: true })
  return withMachineLock(join(folder, 'lock.db'), async () => {
    if (!existsSync(file)) {
      say(`downloading ${name} for a test image (kept in the cache, not installed)`)
      const scratch = await mkdtemp(join(folder, 'fetch-'))
      try {
        await fetch(scratch, wanted, { file, suite: version === null ? (wanted.suite ?? 'bookworm') : null })
      } finally {
        await rm(scratch, { recursive: true, force: true })
      }
    }
    return layerOfGzip(await readFile(file), await readFile(`${file}.diff-id`, 'utf8'))
  })
}

async function fetch(
  scratch: string,
  wanted: Wanted,
  to: { file: string; suite: string | null },
): Promise<void> {
  const apt = to.suite === null ? [] : await onlySuite(to.suite, scratch)
  const root = join(scratch, 'root')
  const tar = join(scratch, 'layer.tar')
  await mkdir(root)
  const { needs } = wanted
  const packages = await withLibraries(wanted.packages, { apt, ...(needs === undefined ? {} : { needs }) })
  await unpackPackages(packages, scratch, root, apt)
  const left = ['./usr/share/doc', './usr/share/man', './usr/share/lintian', './usr/lib/*/gconv']
  await mustRun('tar', [
    ...['-C', root, '--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'],
    ...left.map((path) => `--exclude=${path}`),
    ...['-cf', tar, '.'],
  ])
  const bytes = await readFile(tar)
  await writeFile(`${to.file}.diff-id`, diffIdOf(bytes))
  await writeFile(`${to.file}.new`, gzipSync(bytes, { level: 6 }))
  await rename(`${to.file}.new`, to.file)
}
