import { join } from 'node:path'
import {
  addOddFiles,
  checksums,
  emptied,
  emptyVolume,
  fillVolume,
  type Host,
  hostAtScale,
  listing,
  type Server,
  serverAtScale,
  smallFile,
  type Volume,
} from '../backup/at-scale.ts'
import { backUp, putBack, removeAll, type Target, toBucket, toFolder } from '../backup/copies.ts'
import type { Done } from '../backup/copy-in-a-process.ts'
import { startS3Server } from '../rig/s3-server.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { useRig } from '../rig/use-rig.ts'
import { type Figures, median, type Row, spread } from './figures.ts'
import { type Plain, plainPipeline } from './plain-pipeline.ts'

/** `MB/s` of 10^6 bytes before packing; by the clock from the first request to the last answer. */
type Seen = Record<'backup' | 'restore', number[]>
type Sides = Record<'file' | 's3' | 'plain', Seen> & { engine?: Seen }
type Bench = {
  host: Host
  plain: Plain
  folder: string
  targets: { file: Target; s3: Target }
  processes: Done[]
}

export type BackupSize = { pairs: number; scale: number; files: number; gigabytes: number }

/**
 * Backup and restore through both stores beside what an administrator would type, in turns on the same data; that what
 * came back is the same; and how much the process grows while it copies much more than it could hold.
 */
export async function measureBackup(size: BackupSize): Promise<Figures> {
  const host = await hostAtScale(useRig())
  await using folder = await tempFolder('bench-backup')
  // moto keeps what is larger in files.
  process.env['MOTO_S3_DEFAULT_KEY_BUFFER_SIZE'] ??= String(1 << 20)
  await using s3 = await startS3Server()
  const bench: Bench = {
    host,
    plain: await plainPipeline(host.rig),
    folder: folder.path,
    targets: { file: toFolder(join(folder.path, 'store')), s3: await toBucket(s3, 'bench') },
    processes: [],
  }
  const database = await ofDatabase(bench, size)
  const files = await ofFiles(bench, size)
  const large = size.gigabytes > 0 ? await ofMuch(bench, size.gigabytes) : []
  await host.engine.close()
  const grown = [...bench.processes.map(growth), ...large.map(growth)]
  return {
    name: 'backup',
    title: `Backup and restore: ours against the plain pipeline, ${size.pairs} pairs in turns`,
    rows: [
      ...rowsOf(`pgbench -i -s ${size.scale}`, database),
      ...rowsOf(`${size.files} small files`, files),
      { what: 'came back identical', is: 'identical', goal: 'identical', met: true },
      {
        what: `growth of the process`,
        is: spread(grown, 'MB', 0),
        goal: 'under 150 MB',
        met: Math.max(...grown) < 150,
      },
      ...large.map((done, at) => ({
        what: `  ${['backup to a folder', 'restore from it', 'backup to S3', 'restore from it'][at]} of ${size.gigabytes} GB`,
        is: `${growth(done).toFixed(0)} MB, to ${(done.highest / 1e6).toFixed(0)} MB; ${(plainBytes(done) / 1e3 / done.ms).toFixed(0)} MB/s`,
      })),
    ],
    note: 'MB/s of what was there before packing. The plain pipeline neither hashes nor counts nor makes durable what it writes. S3 is moto, a Python program on the same machine.',
    values: { size, database, files, large, grown },
  }
}

const growth = ({ before, highest }: Done): number => (highest - before) / 1e6
const plainBytes = ({ manifest }: Done): number =>
  manifest.parts.reduce((sum, part) => sum + part.plainBytes, 0)

function rowsOf(what: string, sides: Sides): Row[] {
  return (['backup', 'restore'] as const).flatMap((way) => {
    const ratioOf = (seen: Seen, other: Seen) =>
      median(seen[way].map((each, at) => each / (other[way][at] ?? 1)))
    const ratio = ratioOf(sides.file, sides.plain)
    const { engine } = sides
    return [
      {
        what: `${what}: ${way}`,
        is: `${ratio.toFixed(2)} of the plain pipeline's rate`,
        goal: '0.90 or more',
        met: ratio >= 0.9,
      },
      { what: '  Samovar, a folder', is: spread(sides.file[way], 'MB/s', 0) },
      {
        what: '  Samovar, S3',
        is: `${spread(sides.s3[way], 'MB/s', 0)}, ${ratioOf(sides.s3, sides.plain).toFixed(2)} of it`,
      },
      { what: '  plain pipeline', is: spread(sides.plain[way], 'MB/s', 0) },
      ...(engine === undefined
        ? []
        : [
            {
              what: "  the engine's own tar and zstd",
              is: `${spread(engine[way], 'MB/s', 0)}; Samovar has ${ratioOf(sides.file, engine).toFixed(2)} of it`,
            },
          ]),
    ]
  })
}

async function ofDatabase(bench: Bench, { pairs, scale }: BackupSize): Promise<Sides> {
  await using server = await serverAtScale(bench.host, scale)
  const before = await checksums(server)
  const file = join(bench.folder, 'plain.dump.zst')
  return await inTurns(bench, pairs, {
    data: { server },
    from: { server },
    plain: { backup: () => bench.plain.dump(server, file), restore: () => bench.plain.load(server, file) },
    cleared: () => bench.plain.newDatabase(server),
    check: async () => same(before, await checksums(server), 'the database'),
  })
}

async function ofFiles(bench: Bench, { pairs, files }: BackupSize): Promise<Sides> {
  const { host } = bench
  await using volume = await emptyVolume(host)
  await using back = await emptyVolume(host)
  await fillVolume(host, volume, { count: files, bytes: smallFile })
  await addOddFiles(host, volume)
  const before = (await listing(host, volume)).join('\n')
  const file = join(bench.folder, 'plain.tar.zst')
  return await inTurns(bench, pairs, {
    data: { volume },
    from: { volume: back },
    plain: {
      backup: () => bench.plain.pack(volume, file),
      restore: () => bench.plain.unpack(back, file),
    },
    engine: {
      backup: () => bench.plain.packByEngine(volume, file),
      restore: () => bench.plain.unpackByEngine(back, file),
    },
    cleared: () => emptied(host, back),
    check: async () => same(before, (await listing(host, back)).join('\n'), 'the volume'),
  })
}

type Way = { backup: () => Promise<void>; restore: () => Promise<void> }
type Turns = {
  data: { server?: Server; volume?: Volume }
  from: { server?: Server; volume?: Volume }
  plain: Way
  engine?: Way
  /** Before each restore, not timed: what the one before it left goes. */
  cleared: () => Promise<void>
  /** Throws when what came back is not what was there. */
  check: () => Promise<void>
}

/** The first turn is not counted: it reads the data from the disk. After it, what came back is compared. */
async function inTurns(bench: Bench, pairs: number, turns: Turns): Promise<Sides> {
  const none = (): Seen => ({ backup: [], restore: [] })
  const sides = { file: none(), s3: none(), plain: none(), engine: none() }
  let bytes: number | undefined
  for (let at = 0; at <= pairs; at += 1) {
    const note = (name: keyof typeof sides, backupMs: number, restoreMs: number): void => {
      if (at === 0) return
      sides[name].backup.push((bytes ?? 0) / 1e3 / backupMs)
      sides[name].restore.push((bytes ?? 0) / 1e3 / restoreMs)
    }
    const ours = (['s3', 'file'] as const).map((name) => async () => {
      const [backup, restore] = await thereAndBack(bench, bench.targets[name], {
        ...turns,
        ...(bytes === undefined ? {} : { estimate: bytes }),
      })
      bytes = plainBytes(backup)
      bench.processes.push(backup, restore)
      if (at === 0) await turns.check()
      note(name, backup.ms, restore.ms)
    })
    const other = (name: 'plain' | 'engine', way: Way) => async () => {
      const backupMs = await timed(way.backup)
      await turns.cleared()
      note(name, backupMs, await timed(way.restore))
    }
    const all = [...ours, other('plain', turns.plain)]
    if (turns.engine !== undefined) all.push(other('engine', turns.engine))
    for (const each of at % 2 === 0 ? all : all.toReversed()) await each()
  }
  return turns.engine === undefined ? { file: sides.file, s3: sides.s3, plain: sides.plain } : sides
}

async function thereAndBack(
  bench: Bench,
  target: Target,
  about: Pick<Turns, 'data' | 'from' | 'cleared'> & { estimate?: number },
): Promise<[Done, Done]> {
  const { estimate } = about
  const backup = await backUp(bench.host, target, {
    ...about.data,
    ...(estimate === undefined ? {} : { estimate }),
  })
  await about.cleared()
  const restore = await putBack(bench.host, target, { manifest: backup.manifest, ...about.from })
  await removeAll(target)
  return [backup, restore]
}

/** More than a process could hold, and not a file of it small. */
async function ofMuch(bench: Bench, gigabytes: number): Promise<Done[]> {
  const { host } = bench
  await using volume = await emptyVolume(host)
  await using back = await emptyVolume(host)
  await fillVolume(host, volume, { count: gigabytes * 125, bytes: () => 8_000_000 })
  const all: Done[] = []
  for (const target of [bench.targets.file, bench.targets.s3]) {
    all.push(
      ...(await thereAndBack(bench, target, {
        data: { volume },
        from: { volume: back },
        cleared: () => emptied(host, back),
      })),
    )
  }
  return all
}

async function timed(work: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

function same(before: string, after: string, what: string): void {
  if (before !== after) throw new Error(`${what} did not come back as it was`)
}
