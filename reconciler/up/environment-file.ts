import { randomBytes } from 'node:crypto'
import { chownSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { SamovarError } from '../errors.ts'

/**
 * The values of a file as systemd's `EnvironmentFile=` reads it (systemd.exec(5), src/basic/env-file.c): NAME=value lines,
 * comments with `#` or `;` at the beginning of a line and nowhere else, quotes around a value or its first parts, which may
 * go on over lines. The last of two lines with one name counts. Nothing is expanded.
 */
export function readEnvironment(text: string): Record<string, string> {
  return Object.fromEntries(assignments(text.split('\n')).map(({ name, value }) => [name, value]))
}

/** With the number of the first line and of the one after the last. */
function assignments(lines: string[]): { name: string; value: string; from: number; to: number }[] {
  const found: ReturnType<typeof assignments> = []
  for (let from = 0, to = 1; from < lines.length; from = to, to += 1) {
    const [, name, begin = ''] = /^\s*([A-Za-z_]\w*)\s*=(.*)$/s.exec(lines[from] ?? '') ?? []
    if (name === undefined) continue
    let written = begin
    let value = valueOf(written)
    while (value === null && to < lines.length) {
      written += `\n${lines[to]}`
      to += 1
      value = valueOf(written)
    }
    found.push({ name, value: value ?? written.trim(), from, to })
  }
  return found
}

/** Null when it goes on in the next line. Outside of quotes a backslash takes what follows as it is. */
function valueOf(written: string): string | null {
  const [quoted = ''] = /^(\s*('[^']*'|"([^"\\]|\\.)*"))*\s*/s.exec(written) ?? []
  const bare = written.slice(quoted.length)
  if (/^['"]/.test(bare) || /(^|[^\\])(\\\\)*\\$/.test(bare)) return null
  const parts = quoted.match(/'[^']*'|"([^"\\]|\\.)*"/gs) ?? []
  const taken = (_: string, after: string) => (after === '\n' ? '' : after)
  return [
    ...parts.map((part) =>
      part.startsWith("'") ? part.slice(1, -1) : part.slice(1, -1).replaceAll(/\\([\n"\\$`])/g, taken),
    ),
    bare.trimEnd().replaceAll(/\\(.)/gs, taken),
  ].join('')
}

/**
 * The same file with these values: a line that sets one of them is replaced where it stands, the rest stays letter by
 * letter. What is commented out is left alone; new names come last.
 *
 * @throws SamovarError `settings-invalid` for a value with a line end
 */
export function withValues(text: string, values: Record<string, string>): string {
  const left = new Map(Object.entries(values))
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  // From the end: of two lines with one name the last one counts.
  for (const { name, value: before, from, to } of assignments(lines).toReversed()) {
    const value = left.get(name)
    if (value === undefined) continue
    left.delete(name)
    if (before !== value) lines.splice(from, to - from, lineOf(name, value))
  }
  const added = [...left].map(([name, value]) => lineOf(name, value))
  return [...lines, ...added].map((line) => `${line}\n`).join('')
}

function lineOf(name: string, value: string): string {
  if (/[\r\n\0]/.test(value))
    throw new SamovarError(
      'settings-invalid',
      `the value for ${name} has a line end, which the file cannot hold`,
    )
  const isPlain = /^[\w@%+=:,./~^-]*$/.test(value)
  return isPlain ? `${name}=${value}` : `${name}="${value.replaceAll(/["\\$`]/g, String.raw`\$&`)}"`
}

/** Empty when there is no such file. @throws SamovarError `settings-invalid` when it cannot be read */
export function environmentText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw unusable(file, 'read', error)
  }
}

/**
 * Replaced as a whole, so that whoever reads it finds the old one or the new one. A new file may be read by its owner
 * alone; owner and mode of one that is there stay, without what everybody may.
 *
 * @throws SamovarError `settings-invalid`
 */
export function writeEnvironment(file: string, text: string): void {
  const draft = `${file}.${randomBytes(4).toString('hex')}`
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
  } catch (error) {
    throw unusable(file, 'written', error)
  }
  try {
    const before = statSync(file, { throwIfNoEntry: false })
    writeFileSync(draft, text, { mode: (before?.mode ?? 0o600) & 0o660, flag: 'wx', flush: true })
    if (before !== undefined) chownSync(draft, before.uid, before.gid)
    renameSync(draft, file)
  } catch (error) {
    rmSync(draft, { force: true })
    throw unusable(file, 'written', error)
  }
}

function unusable(file: string, act: string, error: unknown): SamovarError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  return new SamovarError('settings-invalid', `${file} cannot be ${act}: ${code}`, {
    next: 'Run this as root, or name another file with --environment.',
    cause: error,
  })
}
