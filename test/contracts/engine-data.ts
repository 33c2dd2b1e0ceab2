import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { extract, type Header, pack } from 'tar-stream'
import { afterEach, describe, expect, test } from 'vitest'
import { type Engine, type Running, samovarLabels } from '../../reconciler/engine/engine.ts'
import { until } from '../rig/until.ts'

/** What a host under test offers the suite. */
export type DataHost = {
  engine: Engine
  project: string
  /** `name:tag@digest` and local id of an image that serves, with `sh`, `cat`, `echo`, `sha256sum` and `find`. */
  image: { reference: string; id: string }
  /** Whether the service in an instance answers its users. */
  answers(instance: string): Promise<boolean>
  stopByHand(instance: string): Promise<void>
  removeByHand(instance: string): Promise<void>
  cleanUp(): Promise<void>
}

/** What the programs of the suite do, beside `cat`, `echo` and `sha256sum`. */
export const scripts = {
  fails: 'echo some; echo why >&2; exit 3',
  completes: 'cat > /dev/null; echo yes > /data/complete',
} as const

/** A portable way to empty a folder: the busybox of Debian has no `find -delete`. */
export const erase = (folder: string): string[] =>
  `find ${folder} -mindepth 1 -maxdepth 1 -exec rm -rf {} +`.split(' ')

export type Entry = Partial<Header> & { name: string; content?: Buffer | string }

/** A tar archive; times in whole seconds, as the engines keep them. */
export function archiveOf(entries: Entry[]): Promise<Buffer> {
  const archive = pack()
  for (const { content, ...header } of entries) archive.entry(header, Buffer.from(content ?? ''))
  archive.finalize()
  return buffer(archive as unknown as AsyncIterable<Buffer>)
}

/** What an archive says, sorted: `./a 644 5:6 981173106 file HASH`. */
export async function listing(archive: Readable): Promise<string[]> {
  const entries = extract()
  const lines: string[] = []
  Readable.from([await buffer(archive)]).pipe(entries as unknown as NodeJS.WritableStream)
  for await (const entry of entries) {
    const { name, mode, uid, gid, mtime, type, linkname } = entry.header
    const content = await buffer(entry as unknown as AsyncIterable<Buffer>)
    const hash = createHash('sha256').update(content).digest('hex').slice(0, 8)
    lines.push(
      `${name} ${(mode & 0o7777).toString(8)} ${uid}:${gid} ${mtime.getTime() / 1000} ${type} ${linkname ?? ''} ${hash}`,
    )
  }
  return lines.sort()
}

const mtime = new Date('2001-02-03T04:05:06Z')

/** Everything a volume may have that a careless copy loses. The folder itself is not root's. */
export const difficultFiles: Entry[] = [
  { name: './', type: 'directory', mode: 0o2750, uid: 1000, gid: 1001, mtime },
  { name: './ünï çödé', content: 'x', mtime },
  { name: './a/', type: 'directory', mode: 0o700, uid: 70, gid: 70, mtime },
  { name: './a/data', content: randomBytes(70_000), mode: 0o640, uid: 5, gid: 6, mtime },
  { name: './a/empty/', type: 'directory', mode: 0o1777, mtime },
  { name: './a/hard', type: 'link', linkname: './a/data', mode: 0o640, uid: 5, gid: 6, mtime },
  { name: './a/soft', type: 'symlink', linkname: '../nowhere', mode: 0o777, uid: 3, gid: 4, mtime },
  { name: './a/switches-user', content: 'z', mode: 0o6755, uid: 5, gid: 6, mtime },
  { name: `./${'l'.repeat(150)}/`, type: 'directory', mode: 0o755, mtime },
  { name: `./${'l'.repeat(150)}/${'n'.repeat(200)}`, content: 'y', mode: 0o400, mtime },
]

let operations = 0

/** The promises of reconciler/engine/engine.ts about data; every engine passes them. */
export function engineDataContract(name: string, open: () => Promise<DataHost>): void {
  describe(`engine contract about data: ${name}`, () => {
    let host: DataHost
    let engine: Engine
    let operation: string
    let volume: string
    const opened = async () => {
      host = await open()
      engine = host.engine
      operation = `20260101-000000-${(process.pid * 100 + operations++).toString(16).padStart(4, '0').slice(-4)}`
      volume = `${host.project}_data`
      const labels = { 'com.docker.compose.project': host.project }
      await engine.prepare([], [{ name: volume, external: false, labels }])
    }
    afterEach(async () => {
      await engine.removeScratch(operation)
      await host.cleanUp()
    })

    const scratch = (command: string[] | null, volumes: Record<string, string> = { [volume]: '/data' }) =>
      engine.scratch(operation, { image: host.image.id, volumes, command, environment: {} })
    /** A container that goes on running, with the volume at /data. */
    const serving = async () => {
      const instance = await scratch(null)
      await engine.startScratch(instance)
      return instance
    }
    const ran = async (instance: string, command: string[], input?: Readable) => {
      const { output, ended } = await engine.exec(instance, command, input)
      const all = await buffer(output)
      return { output: all, ...(await ended) }
    }
    const fill = async (instance: string, entries: Entry[]) =>
      engine.writeFiles(instance, '/data', Readable.from([await archiveOf(entries)]))
    const names = async (instance: string) =>
      (await listing(await engine.readFiles(instance, '/data'))).map((line) => line.split(' ')[0])
    /** A service of the project on the volume, as a roll-out leaves it. */
    const service = async (): Promise<Running> => {
      const body = {
        Image: host.image.reference,
        StopTimeout: 1,
        Labels: {
          'com.docker.compose.project': host.project,
          'com.docker.compose.service': 'web',
          [samovarLabels.image]: host.image.reference,
        },
        HostConfig: { Mounts: [{ Type: 'volume', Source: volume, Target: '/data' }] },
      }
      const candidate = await engine.create(operation, body, { name: `${host.project}-web-1` })
      await engine.start(operation, candidate)
      const [running] = await engine.observe(host.project)
      if (running === undefined) throw new Error('there is no web container')
      return running
    }

    describe('programs', () => {
      test('the output of a program arrives byte for byte', async () => {
        await opened()
        const instance = await serving()
        const content = randomBytes(5_000_000)
        await fill(instance, [{ name: './random', content }])
        const end = await ran(instance, ['cat', '/data/random'])
        expect(end.exitCode).toBe(0)
        expect(end.output.equals(content)).toBe(true)
      })

      test('a failing program tells its exit code and what it wrote to its standard error', async () => {
        await opened()
        const end = await ran(await serving(), ['sh', '-c', scripts.fails])
        expect({ ...end, output: end.output.toString() }).toEqual({
          exitCode: 3,
          errors: 'why\n',
          output: 'some\n',
        })
      })

      test('a program gets all of its input and its end', async () => {
        await opened()
        const instance = await serving()
        const input = Array.from({ length: 50 }, () => randomBytes(100_000))
        const end = await ran(instance, ['sha256sum'], Readable.from(input))
        expect(end.exitCode).toBe(0)
        expect(end.output.toString()).toContain(
          createHash('sha256').update(Buffer.concat(input)).digest('hex'),
        )
        expect((await ran(instance, ['cat'], Readable.from([]))).output).toHaveLength(0)
      })

      test('an input that fails is never the end of the input', async () => {
        await opened()
        const instance = await serving()
        const failing = Readable.from(
          (async function* () {
            yield Buffer.alloc(200_000)
            throw new Error('the store was cut off')
          })(),
        )
        const { output, ended } = await engine.exec(instance, ['sh', '-c', scripts.completes], failing)
        await expect(text(output)).rejects.toThrow('the store was cut off')
        expect((await ended).exitCode).not.toBe(0)
        expect(await names(instance)).toEqual(['./'])
        expect((await ran(instance, ['sh', '-c', scripts.completes], Readable.from(['x']))).exitCode).toBe(0)
        expect(await names(instance)).toEqual(['./', './complete'])
      })

      test('a program may end without reading its input', async () => {
        await opened()
        const end = await ran(await serving(), ['echo', 'hi'], Readable.from([Buffer.alloc(8_000_000)]))
        expect({ ...end, output: end.output.toString() }).toEqual({
          exitCode: 0,
          errors: '',
          output: 'hi\n',
        })
      })

      test('the end of a program is told also when nobody reads its small output', async () => {
        await opened()
        const { ended } = await engine.exec(await serving(), ['echo', 'hi'])
        expect((await ended).exitCode).toBe(0)
      })

      test('a program that is not there has failed', async () => {
        await opened()
        const end = await ran(await serving(), ['no-such-program'])
        expect(end.exitCode).toBeGreaterThan(125)
        expect(end.errors).toContain('no-such-program')
      })

      test('a program in a stopped instance is engine-refused, in one that is gone not-found', async () => {
        await opened()
        const web = await service()
        await host.stopByHand(web.instance)
        await expect(engine.exec(web.instance, ['echo'])).rejects.toMatchObject({ code: 'engine-refused' })
        await host.removeByHand(web.instance)
        await expect(engine.exec(web.instance, ['echo'])).rejects.toMatchObject({ code: 'not-found' })
      })
    })

    describe('files', () => {
      test('files come back exactly as they were read: owners, modes, times, links, names, the folder itself', async () => {
        await opened()
        const instance = await scratch(['true'])
        await fill(instance, difficultFiles)
        const archive = await buffer(await engine.readFiles(instance, '/data'))
        const first = await listing(Readable.from([archive]))
        expect(first).toEqual(await listing(Readable.from([await archiveOf(difficultFiles)])))

        const eraser = await scratch(erase('/data'))
        await engine.startScratch(eraser)
        expect(await engine.scratchEnded(eraser, 20_000)).toEqual({ exitCode: 0, output: '' })
        await fill(instance, [{ name: './', type: 'directory', mode: 0o755, mtime: new Date(0) }])
        expect(await names(instance)).toEqual(['./'])

        // Through a container with a user of its own, in pieces.
        const other = await engine.scratch(operation, {
          image: host.image.id,
          volumes: { [volume]: '/data' },
          command: ['true'],
          environment: {},
          user: '1000:1000',
        })
        await engine.writeFiles(
          other,
          '/data',
          Readable.from([archive.subarray(0, 700), archive.subarray(700)]),
        )
        expect(await listing(await engine.readFiles(instance, '/data'))).toEqual(first)
      })

      test('files of a running service are read through its volume', async () => {
        await opened()
        const web = await service()
        await fill(web.instance, [{ name: './row', content: 'one' }])
        expect(await names(web.instance)).toEqual(['./', './row'])
      })

      test('an archive that fails is not written to the end, and says why', async () => {
        await opened()
        const instance = await scratch(['true'])
        const archive = await archiveOf([{ name: './a', content: randomBytes(300_000) }])
        const failing = Readable.from(
          (async function* () {
            yield archive.subarray(0, 200_000)
            throw new Error('the store was cut off')
          })(),
        )
        await expect(engine.writeFiles(instance, '/data', failing)).rejects.toThrow('the store was cut off')
      })

      test('an archive that failed already is not waited for', async () => {
        await opened()
        const instance = await scratch(['true'])
        const failed = new Readable({ read: () => {} })
        failed.on('error', () => {})
        failed.destroy(new Error('the key is another one'))
        await until('it has failed', () => failed.closed, { withinMs: 5_000 })
        await expect(engine.writeFiles(instance, '/data', failed)).rejects.toThrow('the key is another one')
        const { output, ended } = await engine.exec(await serving(), ['cat'], failed)
        await expect(text(output)).rejects.toThrow('the key is another one')
        expect((await ended).exitCode).not.toBe(0)
      })

      test('an archive without its end is refused, also when it is cut between two files', async () => {
        await opened()
        const instance = await scratch(['true'])
        const archive = await archiveOf([
          { name: './a', content: 'x' },
          { name: './b', content: 'y' },
        ])
        const cut = Readable.from([archive.subarray(0, 1024)])
        await expect(engine.writeFiles(instance, '/data', cut)).rejects.toMatchObject({
          code: 'engine-refused',
        })
      })

      test('a folder that is not there is not-found', async () => {
        await opened()
        const instance = await scratch(['true'])
        await expect(engine.readFiles(instance, '/nowhere')).rejects.toMatchObject({ code: 'not-found' })
        const archive = Readable.from([await archiveOf([{ name: './a', content: 'x' }])])
        await expect(engine.writeFiles(instance, '/nowhere', archive)).rejects.toMatchObject({
          code: 'not-found',
        })
      })
    })

    describe('scratch containers', () => {
      test('a scratch container sees the files of a volume and is no part of the project', async () => {
        await opened()
        const first = await serving()
        await fill(first, [{ name: './row', content: 'one' }])
        const other = await serving()
        expect((await ran(other, ['cat', '/data/row'])).output.toString()).toBe('one')
        expect(await engine.observe(host.project)).toEqual([])
        expect(await engine.find(operation)).toEqual([])
        expect((await engine.mounting(volume)).map((each) => each.instance).sort()).toEqual(
          [first, other].sort(),
        )
      })

      test('volumes that are there are told by their names, also those that nothing mounts', async () => {
        await opened()
        expect(await engine.volumesThere([`${host.project}_missing`, volume])).toEqual([volume])
        expect(await engine.volumesThere([])).toEqual([])
      })

      test('scratch containers of an operation are removed, running or not; its volumes stay', async () => {
        await opened()
        const running = await serving()
        await fill(running, [{ name: './row', content: 'one' }])
        await scratch(['true'])
        await engine.removeScratch(operation)
        await engine.removeScratch(operation)
        await expect(engine.inspect(running)).rejects.toMatchObject({ code: 'not-found' })
        expect(await engine.mounting(volume)).toEqual([])
        expect(await names(await scratch(['true']))).toEqual(['./', './row'])
      })

      test('the exit code of a scratch command and its last lines are told', async () => {
        await opened()
        const instance = await scratch(['sh', '-c', scripts.fails])
        await expect(engine.scratchEnded(instance, 1_000)).rejects.toMatchObject({ code: 'engine-refused' })
        await engine.startScratch(instance)
        const end = await engine.scratchEnded(instance, 20_000)
        expect(end.exitCode).toBe(3)
        expect(end.output.split('\n').sort()).toEqual(['some', 'why'])
      })

      test('a scratch command that does not end in time is timed-out', async () => {
        await opened()
        await expect(engine.scratchEnded(await serving(), 200)).rejects.toMatchObject({ code: 'timed-out' })
      })

      test('a missing volume is not-found and is not made', async () => {
        await opened()
        const missing = `${host.project}_nothing`
        for (let time = 0; time < 2; time += 1)
          await expect(scratch(['true'], { [missing]: '/data' })).rejects.toMatchObject({ code: 'not-found' })
      })
    })

    describe('standing still', () => {
      test('a paused service answers nobody until it is woken, however often either is asked for', async () => {
        await opened()
        const web = await service()
        await until('the service answers', () => host.answers(web.instance), { withinMs: 20_000 })
        await engine.pause(web)
        await engine.pause(web)
        expect(await host.answers(web.instance)).toBe(false)
        expect((await engine.observe(host.project))[0]?.state).toBe('paused')
        await engine.unpause(web)
        await engine.unpause(web)
        await until('the service answers again', () => host.answers(web.instance), { withinMs: 20_000 })
        expect((await engine.observe(host.project))[0]?.state).toBe('running')
      })

      test('a stopped service is not paused; one that is gone is changed, and waking it is no work', async () => {
        await opened()
        const web = await service()
        await host.stopByHand(web.instance)
        await expect(engine.pause(web)).rejects.toMatchObject({ code: 'engine-refused' })
        await host.removeByHand(web.instance)
        await expect(engine.pause(web)).rejects.toMatchObject({ code: 'changed' })
        await engine.unpause(web)
      })

      test('who mounts a volume is told with whether it runs, also when it stands paused', async () => {
        await opened()
        const web = await service()
        const named = { instance: web.instance, name: web.name }
        expect(await engine.mounting(volume)).toEqual([{ ...named, running: true }])
        await engine.pause(web)
        expect(await engine.mounting(volume)).toEqual([{ ...named, running: true }])
        await engine.unpause(web)
        await host.stopByHand(web.instance)
        expect(await engine.mounting(volume)).toEqual([{ ...named, running: false }])
        expect(await engine.mounting('/data')).toEqual([])
      })
    })
  })
}
