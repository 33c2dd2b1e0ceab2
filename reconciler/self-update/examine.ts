import { chmodSync, existsSync } from 'node:fs'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SamovarError } from '../errors.ts'
import { releaseFolder } from './releases.ts'
import { runProgram } from './run-program.ts'

/** Doctor asks registries, stores and database servers, each with a patience of its own. */
const doctorTakes = 10 * 60_000

type Place = { root: string; environment: Record<string, string | undefined> }
type Check = { name: string; ok: boolean; said: string }

/**
 * The new release looks at the live state, through `doctor`, before anything that runs is touched. It must say its
 * version, and find nothing wrong that the current release does not find as well: a Gitea that is away is no fault of
 * a release.
 *
 * @throws SamovarError `update-refused`
 */
export async function examineRelease(
  place: Place,
  { from, to }: { from: string; to: string },
): Promise<void> {
  const said = await runRelease(place, to, ['--version'], 60_000)
  if (said.exitCode !== 0 || said.stdout.trim() !== to)
    throw new SamovarError('update-refused', `release ${to} does not say its version: ${lastLine(said)}`, {
      next: 'Build the release again; the one that runs was not touched.',
    })
  const found = await doctor(place, to)
  const problems = found.filter((check) => !check.ok)
  if (problems.length === 0) return
  const known = (await doctor(place, from).catch(() => [])).filter((check) => !check.ok)
  const worse = problems.filter(({ name }) => countOf(problems, name) > countOf(known, name))
  const [first] = worse
  if (first === undefined) return
  const more = worse.length > 1 ? ` (and ${worse.length - 1} more)` : ''
  throw new SamovarError(
    'update-refused',
    `release ${to} finds what ${from} does not: ${first.name}: ${first.said}${more}`,
    {
      next: `Read CHANGELOG.md of ${to}; node ${releaseFolder(place.root, to)}/reconciler/cli.ts doctor shows all.`,
    },
  )
}

const countOf = (checks: Check[], name: string): number =>
  checks.filter((check) => check.name === name).length

async function doctor(place: Place, version: string): Promise<Check[]> {
  const ended = await runRelease(place, version, ['doctor', '--json'], doctorTakes)
  try {
    return (JSON.parse(ended.stdout) as { checks: Check[] }).checks
  } catch {
    throw new SamovarError(
      'update-refused',
      `doctor of release ${version} did not come to its end: ${lastLine(ended)}`,
      { next: 'Build the release again; the one that runs was not touched.' },
    )
  }
}

const runRelease = ({ root, environment }: Place, version: string, args: string[], timeoutMs: number) =>
  runProgram(process.execPath, [join(releaseFolder(root, version), 'reconciler/cli.ts'), ...args], {
    timeoutMs,
    environment,
  })

const lastLine = ({
  stdout,
  stderr,
  exitCode,
}: {
  stdout: string
  stderr: string
  exitCode: number
}): string =>
  `${stderr}\n${stdout}`
    .trim()
    .split('\n')
    .find((line) => /\S/.test(line)) ?? `exit code ${exitCode}`

const copies = 3

/**
 * A copy of the journal beside it, before a release that may add tables opens it. Nobody needs it for going back
 * (tables are only added to); it is for a person on a bad day.
 *
 * @returns the file, or null when there is no journal yet
 */
export async function copyJournal(stateDir: string, version: string): Promise<string | null> {
  if (!existsSync(join(stateDir, 'journal.sqlite'))) return null
  const file = join(stateDir, `journal-before-${version}.sqlite`)
  await rm(`${file}.new`, { force: true })
  const database = new DatabaseSync(join(stateDir, 'journal.sqlite'), { readOnly: true, timeout: 10_000 })
  try {
    database.prepare('vacuum into ?').run(`${file}.new`)
  } finally {
    database.close()
  }
  chmodSync(`${file}.new`, 0o600)
  await rename(`${file}.new`, file)
  await keepNewest(stateDir)
  return file
}

async function keepNewest(stateDir: string): Promise<void> {
  const names = (await readdir(stateDir)).filter((name) => /^journal-before-.*\.sqlite$/.test(name))
  const aged = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(stateDir, name))).mtimeMs })),
  )
  for (const { name } of aged.toSorted((a, b) => b.at - a.at).slice(copies))
    await rm(join(stateDir, name), { force: true })
}
