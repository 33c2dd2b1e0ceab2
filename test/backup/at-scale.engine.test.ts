import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { S3Server } from '../rig/s3-server.ts'
import { startS3Server } from '../rig/s3-server.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'
import { useRig } from '../rig/use-rig.ts'
import {
  addOddFiles,
  checksums,
  emptyVolume,
  fillVolume,
  type Host,
  hostAtScale,
  listing,
  serverAtScale,
  smallFile,
} from './at-scale.ts'
import { backUp, putBack, type Target, toBucket, toFolder } from './copies.ts'

/** What `npm run bench -- backup` does with ten times as much. The limits are for a machine that is busy with others. */
const patience = { timeout: 300_000 }
const files = 10_000
/** Whose names sha256sum prints as they are; hard links count. */
const oddFiles = 27
const allowed = 150e6

let host: Host
let s3: S3Server
let folder: TempFolder
const targets: Record<string, () => Promise<Target>> = {
  'a folder': () => Promise.resolve(toFolder(join(folder.path, 'store'))),
  S3: () => toBucket(s3, 'at-scale'),
}

beforeAll(async () => {
  ;[host, s3, folder] = await Promise.all([hostAtScale(useRig()), startS3Server(), tempFolder('at-scale')])
})
afterAll(async () => {
  await host.engine.close()
  await s3.stop()
  await folder[Symbol.asyncDispose]()
})

describe('much data, in a process of its own', () => {
  test(
    '500,000 rows and 10,000 files, odd ones too, come back identical from a folder and from S3',
    patience,
    async () => {
      await using server = await serverAtScale(host, 5)
      await using volume = await emptyVolume(host)
      await fillVolume(host, volume, { count: files, bytes: smallFile })
      await addOddFiles(host, volume)
      const [rows, entries] = await Promise.all([checksums(server), listing(host, volume)])
      expect(rows).toContain('pgbench_accounts|500000|')
      expect(entries.filter((line) => /^[0-9a-f]{64} /.test(line)).length).toBe(files + oddFiles)
      for (const target of Object.values(targets)) {
        await using back = await emptyVolume(host)
        const where = await target()
        const { manifest } = await backUp(host, where, { server, volume })
        await server.spoil()
        expect(await checksums(server)).not.toBe(rows)
        await putBack(host, where, { manifest, server, volume: back })
        expect(await checksums(server)).toBe(rows)
        expect(await listing(host, back)).toEqual(entries)
      }
    },
  )

  test(
    '600 MB grow the process by less than 150 MB, there and back, whichever the store',
    patience,
    async () => {
      await using volume = await emptyVolume(host)
      await using back = await emptyVolume(host)
      await fillVolume(host, volume, { count: 75, bytes: () => 8_000_000 })
      for (const target of [toFolder(join(folder.path, 'large')), await toBucket(s3, 'large')]) {
        const backup = await backUp(host, target, { volume, estimate: 600e6 })
        expect(backup.manifest.parts[0]?.plainBytes).toBeGreaterThan(600e6)
        const restore = await putBack(host, target, { manifest: backup.manifest, volume: back })
        for (const { highest, before } of [backup, restore]) {
          expect(before).toBeGreaterThan(0)
          expect(highest - before).toBeGreaterThan(0)
          expect(highest - before).toBeLessThan(allowed)
        }
      }
    },
  )
})
