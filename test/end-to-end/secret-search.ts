import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import type { Readable } from 'node:stream'
import type Docker from 'dockerode'

/** Something that was searched: what it is called, and its bytes. */
export type Searched = { where: string; bytes: Buffer }

/**
 * Where a secret stands in any form that it could slip out in: as it is, in hexadecimal, in an address, in JSON, and in
 * base64 also as a part of something longer.
 *
 * @param secrets values by their names
 * @returns a line for each find, which names the secret and does not quote it
 */
export function findSecrets(secrets: Record<string, string>, places: Iterable<Searched>): string[] {
  const wanted = Object.entries(secrets).flatMap(([name, value]) => {
    if (value.length < 8) throw new Error(`the secret ${name} is too short to be searched for`)
    return formsOf(value).map((form) => ({ name, form: Buffer.from(form.text), as: form.as }))
  })
  const found: string[] = []
  for (const { where, bytes } of places)
    for (const { name, form, as } of wanted)
      if (bytes.includes(form)) found.push(`${name} (${as}) in ${where}`)
  return [...new Set(found)]
}

function formsOf(value: string): { text: string; as: string }[] {
  const bytes = Buffer.from(value)
  const forms = [
    { text: value, as: 'as it is' },
    { text: encodeURIComponent(value), as: 'in an address' },
    { text: JSON.stringify(value).slice(1, -1), as: 'in JSON' },
    { text: bytes.toString('hex'), as: 'in hexadecimal' },
    { text: bytes.toString('hex').toUpperCase(), as: 'in hexadecimal' },
  ]
  // What stands before it in the same text moves the groups of three bytes; letters that mix in a neighbour are left out.
  for (const before of [0, 1, 2]) {
    const from = [0, 2, 3][before]
    const to = Math.floor(((before + bytes.length) * 8) / 6)
    const encoded = (as: 'base64' | 'base64url') =>
      Buffer.concat([Buffer.alloc(before), bytes])
        .toString(as)
        .slice(from, to)
    forms.push(
      { text: encoded('base64'), as: 'in base64' },
      { text: encoded('base64url'), as: 'in base64url' },
    )
  }
  return forms
}

/** Every file below a folder, but those in `without`, below them, or larger than `atMost` bytes. */
export async function filesBelow(
  folder: string,
  { without = [], atMost = Infinity }: { without?: string[]; atMost?: number } = {},
): Promise<Searched[]> {
  const found: Searched[] = []
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const where = join(entry.parentPath, entry.name)
    const isLeftOut = without.some((path) => where === path || where.startsWith(`${path}/`))
    if (!entry.isFile() || isLeftOut || (await stat(where)).size > atMost) continue
    found.push({ where, bytes: await readFile(where) })
  }
  return found
}

/** What `docker inspect` says of each container at its begin and end, also of those that live for a second. */
export async function watchContainers(docker: Docker): Promise<{ seen: Searched[]; end(): Promise<void> }> {
  const seen: Searched[] = []
  const asked: Promise<void>[] = []
  const look = async (id: string) => {
    const found = await docker.getContainer(id).inspect()
    seen.push({ where: `docker inspect ${found.Name}`, bytes: Buffer.from(JSON.stringify(found)) })
  }
  const events = await docker.getEvents({ filters: { type: ['container'], event: ['create', 'die'] } })
  const lines = createInterface({ input: events as NodeJS.ReadableStream })
  // One that is gone already was looked at when it was made.
  lines.on('line', (line) => void asked.push(look((JSON.parse(line) as { id: string }).id).catch(() => {})))
  return {
    seen,
    async end() {
      lines.close()
      ;(events as Readable).destroy()
      await Promise.all(asked)
    },
  }
}

/** What a journal holds, row by row: in its file a long text lies in pieces. */
export function rowsOf(file: string): Searched[] {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    const tables = database.prepare("select name from sqlite_schema where type = 'table'").all()
    return tables.flatMap(({ name }) =>
      database
        .prepare(`select * from "${String(name)}"`)
        .all()
        .map((row) => ({
          where: `table ${String(name)}`,
          bytes: Buffer.from(
            Object.values(row)
              .map((value) =>
                value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value),
              )
              .join('\n'),
          ),
        })),
    )
  } finally {
    database.close()
  }
}
