import { lstat, readFile, realpath } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { type ComposeSource, parseSource, yamlFindings } from './compose/compose-source.ts'
import { examine, type PathReference } from './compose/source-checks.ts'
import type { Finding } from './desired-state.ts'
import { sentenceOf } from './errors.ts'
import { readMounted } from './mounted-files.ts'

const mostBytes = 1024 * 1024
const mostFiles = 100

type Reading = {
  /** Checkout root without symlinks. */
  root: string
  variables: Record<string, string>
  sources: Map<string, ComposeSource>
  findings: Finding[]
}

function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root + sep)
}

/** Why a path of the repository may not be used, or null when it may. Symlinks count as what they lead to. */
async function trouble(root: string, path: string, kind: PathReference['kind']): Promise<string | null> {
  if (!isInside(root, path)) return 'it leads out of the repository'
  const real = await realpath(path).catch(() => null)
  if (real === null) return 'it is not in the repository'
  if (!isInside(root, real)) return 'it is a symbolic link that leads out of the repository'
  const found = await lstat(real)
  if (kind !== 'mount' && !found.isFile()) return 'expected a regular file'
  if (kind !== 'mount' && found.size > mostBytes) return 'it is larger than 1 MiB'
  return null
}

async function mountTrouble(root: string, path: string): Promise<string | null> {
  return await readMounted(root, relative(root, path)).then(
    () => null,
    (error: unknown) => sentenceOf(error),
  )
}

async function follow(reading: Reading, reference: PathReference, base: string): Promise<void> {
  const { kind, path, required, finding } = reference
  const say = (message: string): void => void reading.findings.push({ ...finding, message })
  if (/^[a-z][a-z0-9+.-]*:\/\/|^[^/\s]+@[^/\s]+:|^(github|gitlab)\.com\//i.test(path)) {
    return say(`${path}: it leads to the network, expected a file of the repository`)
  }
  if (path.startsWith('~'))
    return say(`${path}: it leads to a home folder, expected a path of the repository`)
  // Absolute paths outside of the checkout are the host's own data.
  if (kind === 'mount' && path.startsWith('/') && !isInside(reading.root, resolve(path))) return
  const full = resolve(base, path)
  const found = await trouble(reading.root, full, kind)
  if (found === 'it is not in the repository' && !required) return
  const next = kind === 'mount' ? '; data lives in named volumes or under absolute paths' : ''
  if (found !== null) return say(`${path}: ${found}${next}`)
  if (kind === 'compose') {
    const ownBase = reference.base === undefined ? dirname(full) : resolve(base, reference.base)
    await read(reading, full, ownBase)
    const environment = await trouble(reading.root, join(ownBase, '.env'), 'file')
    if (environment !== null && environment !== 'it is not in the repository')
      say(`.env beside ${path}: ${environment}`)
  }
  if (kind === 'mount') {
    const inside = await mountTrouble(reading.root, full)
    if (inside !== null) say(inside)
  }
}

async function read(reading: Reading, path: string, base: string): Promise<void> {
  if (reading.sources.has(path)) return
  const file = relative(reading.root, path)
  const source = parseSource(file, await readFile(path, 'utf8'))
  reading.sources.set(path, source)
  if (reading.sources.size > mostFiles) {
    reading.findings.push({
      file,
      line: 1,
      column: 1,
      key: 'include',
      message: `more than ${mostFiles} Compose files`,
    })
    return
  }
  const wrong = yamlFindings(source)
  reading.findings.push(...wrong)
  if (wrong.length > 0) return
  const { findings, paths } = examine(source, reading.variables)
  reading.findings.push(...findings)
  for (const reference of paths) await follow(reading, reference, base)
}

/**
 * Reads the Compose files and all that they include or extend, and refuses what leads out of the checkout or to the
 * network, before Compose is called: a pull request must not be able to read the host's files into a plan.
 * @param options `directory`: checkout root; `files`: relative to it
 */
export async function readSources(options: {
  directory: string
  files: string[]
  variables: Record<string, string>
}): Promise<{ sources: ComposeSource[]; findings: Finding[] }> {
  const root = await realpath(options.directory)
  const reading: Reading = { root, variables: options.variables, sources: new Map(), findings: [] }
  const base = dirname(resolve(root, options.files[0] ?? ''))
  for (const file of options.files) {
    const path = resolve(root, file)
    const found = await trouble(root, path, 'compose')
    if (found === null) await read(reading, path, base)
    else reading.findings.push({ file, line: 1, column: 1, key: 'compose', message: found })
  }
  return { sources: [...reading.sources.values()], findings: reading.findings }
}
