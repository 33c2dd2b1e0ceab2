import { describe, expect, test } from 'vitest'
import type { Part } from '../reconciler/backup/manifest.ts'
import { dataOfBackup, onlyOf } from '../reconciler/data-of-backup.ts'
import type { DataPart, ServicePolicy } from '../reconciler/desired-state.ts'
import type { Loaded } from '../reconciler/load.ts'
import { touched } from '../reconciler/rollout/put-back.ts'
import { manifestOf } from './backup/stored.ts'
import { modelWith } from './compose/model-of.ts'

const database: DataPart = { postgres: 'postgres', database: 'gitea', user: 'gitea' }
const files: DataPart = { volume: 'gitea-data', exclude: [] }
const serversFiles: DataPart = { volume: 'postgres-data', exclude: [] }
const [dump, volume] = manifestOf('20261116T020000Z-0001-aaaaaa').parts as [Part, Part]
const ofServer = { ...volume, name: 'postgres-data.tar.zst', volume: 'postgres-data' } as Part

/** A host of today, whatever a backup of then has. */
function today(data: Record<string, DataPart[]>): Loaded {
  const mounts = { gitea: 'gitea-data', postgres: 'postgres-data' }
  const model = modelWith({}, { volumes: { 'gitea-data': {}, 'postgres-data': {} } })
  for (const [service, source] of Object.entries(mounts))
    model.services[service] = { image: service, volumes: [{ type: 'volume', source, target: '/data' }] }
  const services = Object.fromEntries(
    Object.entries(data).map(([service, parts]) => [
      service,
      {
        service,
        data: parts,
        backup: { before: 'update', while: 'stopped' },
        revert: { data: 'restore', failed: 'drop' },
      },
    ]),
  ) as unknown as Record<string, ServicePolicy>
  const backup = { stores: [{ kind: 'file', folder: '/a', required: true, keep: null }] }
  const state = { host: { name: 'git.example.com', project: 'shop', backup }, services }
  return { commit: 'c', root: '/', state, model, secrets: new Set() } as unknown as Loaded
}

const restoring = (loaded: Loaded, parts: Part[], services = ['gitea']) =>
  dataOfBackup(loaded, manifestOf('20261116T020000Z-0001-aaaaaa', { parts, services }), 'v1/key')

describe('a restore does with the servers what the parts of the backup ask for, not what those of today would', () => {
  test('a server whose files are in today’s data only runs, and its database is put back by the dump', () => {
    const loaded = today({ gitea: [database, files], postgres: [serversFiles] })
    const data = restoring(loaded, [dump, volume])
    expect(data).toMatchObject({ stop: ['gitea'], stopAfterDumps: [], databases: [{ database: 'gitea' }] })
  })

  test('a server whose files are in the backup only stands still while they are put back', () => {
    const loaded = today({ gitea: [database, files], postgres: [] })
    const data = restoring(loaded, [dump, volume, ofServer])
    expect(data).toMatchObject({ stop: ['gitea'], stopAfterDumps: ['postgres'] })
  })

  test('with --service the server of another’s files is left running', () => {
    const loaded = today({ gitea: [database, files], postgres: [serversFiles] })
    const data = restoring(loaded, [dump, volume, ofServer], ['gitea', 'postgres'])
    expect(data.stopAfterDumps).toEqual(['postgres'])
    expect(onlyOf(loaded, data, 'gitea')).toMatchObject({
      databases: [{ database: 'gitea' }],
      volumes: [{ volume: 'gitea-data' }],
      stopAfterDumps: [],
    })
  })
})

describe('what must not start while data is half put back', () => {
  test('is everybody of the unit, but for the server that a dump goes into: it has to run', () => {
    const loaded = today({ gitea: [database, files], postgres: [database, files] })
    expect(touched(restoring(loaded, [dump, volume], ['gitea', 'postgres']))).toEqual(['gitea'])
  })

  test('is the server too when its own files are put back', () => {
    const loaded = today({ gitea: [database, files], postgres: [serversFiles] })
    const data = restoring(loaded, [dump, volume, ofServer], ['gitea', 'postgres'])
    expect(touched(data).toSorted()).toEqual(['gitea', 'postgres'])
  })
})
