import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { pack } from 'tar-stream'
import { connectDocker } from '../../reconciler/engine/docker.ts'
import type { Engine } from '../../reconciler/engine/engine.ts'
import { testLabel } from '../rig/leftovers.ts'
import { pushPostgres } from '../rig/postgres-image.ts'
import { mustRun, works } from '../rig/process.ts'
import { until } from '../rig/until.ts'
import type { RigInUse } from '../rig/use-rig.ts'

/** Much data on the real engine: what the benchmark measures, and what has to come back as it was. */
export type Host = {
  rig: RigInUse
  engine: Engine
  /** Local id of the image with PostgreSQL and busybox. */
  image: string
}

export async function hostAtScale(rig: RigInUse): Promise<Host> {
  await pushPostgres(rig.registry, rig.cacheFolder)
  const engine = await connectDocker(rig.dockerHost)
  const reference = { name: `${rig.registry}/postgres`, tag: '15.1' }
  const digest = await engine.resolve(`${reference.name}:${reference.tag}`)
  return { rig, engine, image: (await engine.holdImage({ ...reference, digest })).id }
}

export type Server = {
  container: string
  /** Changes a row, loses some and adds some. */
  spoil(): Promise<void>
} & AsyncDisposable

/** A server with the tables of pgbench in its database `bench`: 100,000 rows and 15 MB for each step of the scale. */
export async function serverAtScale(host: Host, scale: number): Promise<Server> {
  const { docker, run: label } = host.rig
  const settings = ['fsync=off', 'max_wal_size=8GB', 'autovacuum=off']
  const container = await docker.createContainer({
    Image: host.image,
    Env: ['POSTGRES_INITDB_ARGS=--no-sync', 'POSTGRES_PASSWORD=of-the-bench', 'POSTGRES_DB=bench'],
    Cmd: settings.flatMap((setting) => ['-c', setting]),
    Labels: { [testLabel]: label },
  })
  await container.start()
  const ready = ['pg_isready', '-q', '-h', '127.0.0.1']
  await until('the server serves', () => works('docker', ['exec', container.id, ...ready]), {
    withinMs: 60_000,
  })
  await inside(container.id, ['pgbench', '-q', '-i', '-s', String(scale), '-U', 'postgres', 'bench'])
  return {
    container: container.id,
    spoil: async () => {
      const psql = ['psql', '-X', '-q', '-U', 'postgres', '-d', 'bench', '-c']
      await inside(container.id, [...psql, spoiling])
    },
    [Symbol.asyncDispose]: () => container.remove({ force: true, v: true }),
  }
}

const spoiling = `UPDATE pgbench_accounts SET abalance = 1 WHERE aid = 1; DELETE FROM pgbench_accounts WHERE aid > 99000;
  INSERT INTO pgbench_history (tid, bid, aid, delta) VALUES (1, 1, 1, 1)`

const benchTables = ['accounts', 'branches', 'history', 'tellers'].map((name) => `pgbench_${name}`)

/** Rows and a checksum of all their columns, a line for each table. */
export function checksums(server: Server): Promise<string> {
  const each = (table: string) =>
    `SELECT '${table}', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM ${table} t`
  const query = benchTables.map(each).join(' UNION ALL ')
  return inside(server.container, ['psql', '-X', '-A', '-t', '-U', 'postgres', '-d', 'bench', '-c', query])
}

export type Volume = { name: string; container: string; folder: string } & AsyncDisposable

/** A volume, and a container which never runs that has it at `folder`. */
export async function emptyVolume({ rig, image }: Host): Promise<Volume> {
  const name = rig.project('at-scale')
  await rig.docker.createVolume({ Name: name, Labels: { [testLabel]: rig.run } })
  const container = await rig.docker.createContainer({
    Image: image,
    Entrypoint: [],
    Cmd: ['sleep', '86400'],
    HostConfig: { Binds: [`${name}:/data`] },
    Labels: { [testLabel]: rig.run },
  })
  return {
    name,
    container: container.id,
    folder: '/data',
    async [Symbol.asyncDispose]() {
      await container.remove({ force: true })
      await rig.docker.getVolume(name).remove()
    },
  }
}

export async function emptied(host: Host, volume: Volume): Promise<void> {
  await using container = await running(host, volume)
  await inside(container.id, [
    'find',
    '/data',
    '-mindepth',
    '1',
    '-maxdepth',
    '1',
    '-exec',
    'rm',
    '-rf',
    '--',
    '{}',
    '+',
  ])
}

/** Half of it noise, half of it text, different from file to file: what packs to about half, as real data does. */
const noise = randomBytes(16 << 20)
const text = Buffer.from(
  Array.from({ length: 1 << 19 }, (_, line) => `${line * 7919} it was said that ${line ** 3 % 9973}\n`).join(
    '',
  ),
)

/** @param bytes of the file with that number, at most 8 MiB */
export async function fillVolume(
  host: Host,
  volume: Volume,
  files: { count: number; bytes: (number: number) => number },
): Promise<void> {
  const archive = pack()
  const filled = host.engine.writeFiles(
    volume.container,
    volume.folder,
    Readable.from(archive, { objectMode: false }),
  )
  const written = async () => {
    for (let number = 0; number < files.count; number += 1) {
      const bytes = files.bytes(number)
      const pool = number % 2 === 0 ? noise : text
      const from = (number * 7919) % (pool.length - bytes)
      const name = `${String(number % 500).padStart(3, '0')}/of-number-${number}`
      const times = { mtime: new Date(1_600_000_000_000 + number * 1000) }
      await new Promise<void>((resolve, reject) => {
        const header = { name, mode: 0o640, uid: 1000, gid: 1000, size: bytes, ...times }
        archive.entry(header, pool.subarray(from, from + bytes), (error) =>
          error == null ? resolve() : reject(error),
        )
      })
    }
    archive.finalize()
  }
  await Promise.all([written(), filled])
}

/** From 300 bytes to 8 KB, 4 KB on average. */
export const smallFile = (number: number): number => 300 + ((number * 2654435761) % 7_900)

/** What file systems allow and programs forget; made by the tools of a container, not by what is tested. */
export async function addOddFiles(host: Host, volume: Volume): Promise<void> {
  await using container = await running(host, volume)
  await inside(container.id, ['sh', '-euc', oddFiles])
}

const oddFiles = `
mkdir -p /data/odd/empty && cd /data/odd
: > ' space ' && : > 'quote"s'"'" && : > -rf && : > 'back\\slash' && : > '*?[a]' && : > '#comment'
printf x > "$(printf 'new\\nline')" && printf y > "$(printf 'not-utf8-\\377\\376')" && : > 'ümläut-日本-🫖'
printf z > "$(printf 'l%.0s' $(seq 1 250))"
deep=. && for step in 1 2 3 4 5; do deep=$deep/$(printf "$step%.0s" $(seq 1 90)); done
mkdir -p "$deep" && printf deep > "$deep/bottom" && ln -s "$deep/bottom" far
for mode in 000 400 755 1777 2755 4755 6711; do printf m > m$mode; chmod $mode m$mode; done
mkdir d1777 d2750 d000 && chmod 1777 d1777 && chmod 2750 d2750 && printf in > d000/in && chmod 000 d000
printf o > owned && chown 12345:54321 owned && printf o > far-owned && chown 3000000:3000000 far-owned
ln -s nowhere dangling && ln -s / root && ln -s ' space ' link && chown -h 77:88 dangling
printf hard > first && ln first second && mkdir other && ln first other/third
mkfifo pipe && dd if=/dev/zero of=holes bs=1 count=1 seek=4999999 2>/dev/null
printf t > old && touch -d '1970-01-02 00:00:00' old && printf t > coming && touch -d '2037-12-31 00:00:00' coming
touch -d '2001-02-03 04:05:06' empty .
`

/**
 * A line for each entry, sorted: type, mode, owner, time, links, size, name and target, and for files the sha256.
 * By the tools of a container.
 */
export async function listing(host: Host, volume: Volume): Promise<string[]> {
  await using container = await running(host, volume)
  const listed = await inside(container.id, ['sh', '-euc', `set -o pipefail; cd /data; ${everything}`])
  return Buffer.from(listed, 'base64').toString('latin1').split('\n').toSorted()
}

/** The size of a folder is that of its own list of names. In base64, since names need not be UTF-8. */
const everything = `{ find . ! -type d -exec stat -c '%f %u:%g %Y %h %s %N' {} +
  find . -type d -exec stat -c '%f %u:%g %Y %n' {} +
  find . -type f -exec sha256sum {} +; } | base64`

async function running({ rig, image }: Host, volume: Volume): Promise<{ id: string } & AsyncDisposable> {
  const container = await rig.docker.createContainer({
    Image: image,
    Entrypoint: [],
    Cmd: ['sleep', '86400'],
    StopSignal: 'SIGKILL',
    HostConfig: { Binds: [`${volume.name}:/data`] },
    Labels: { [testLabel]: rig.run },
  })
  await container.start()
  return { id: container.id, [Symbol.asyncDispose]: () => container.remove({ force: true, v: true }) }
}

/** Answers what it printed. */
async function inside(container: string, command: string[]): Promise<string> {
  return mustRun('docker', ['exec', container, ...command])
}
