import { randomBytes } from 'node:crypto'
import { chownSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { SamovarError } from '../errors.ts'

/**
 * The values of a file as systemd's `EnvironmentFile=` reads it: NAME=value lines, comments with `#` or `;`, quotes
 * around a value. The last of two lines with one name counts. Nothing is expanded.
 */
export function readEnvironment(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const found = assignment.exec(line)
    if (found !== null) values[found[1] ?? ''] = unquoted((found[2] ?? '').trim())
  }
  return values
}

const assignment = /^\s*([A-Za-z_]\w*)\s*=(.*)$/

function unquoted(value: string): string {
  if (/^'[^']*'$/.test(value)) return value.slice(1, -1)
  return /^".*"$/.test(value) ? value.slice(1, -1).replaceAll(/\\(["\\$`])/g, '$1') : value
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
  const known = readEnvironment(text)
  // From the end: of two lines with one name the last one counts.
  for (let at = lines.length - 1; at >= 0; at -= 1) {
    const name = assignment.exec(lines[at] ?? '')?.[1]
    const value = name === undefined ? undefined : left.get(name)
    if (name === undefined || value === undefined) continue
    left.delete(name)
    if (known[name] !== value) lines[at] = lineOf(name, value)
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
