import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { readDump } from '../../reconciler/backup/postgres.ts'
import { isAboutTheBackup } from '../../reconciler/backup/postgres-check.ts'
import { pretendHost } from '../../reconciler/engine/in-memory.ts'
import { SamovarError } from '../../reconciler/errors.ts'

/** A verdict of damage gets a backup pruned, so it must not be made of a host that is in trouble. */

async function readingEndsWith(exitCode: number): Promise<void> {
  const host = pretendHost()
  const programs = { pg_restore: () => ({ exitCode, output: '', errors: 'as it says\n' }) }
  const digest = host.publish('registry.example.com/postgres:15', { programs })
  const { id } = await host.engine.holdImage({ name: 'registry.example.com/postgres', tag: '15', digest })
  const body = { image: id, volumes: {}, command: null, environment: {} }
  const instance = await host.engine.scratch('op', body)
  await host.engine.startScratch(instance)
  return readDump({ engine: host.engine, instance }, Readable.from([Buffer.from('dump')]))
}

describe('a dump that pg_restore does not read to its end', () => {
  test('is damaged when pg_restore says so', async () => {
    await expect(readingEndsWith(1)).rejects.toMatchObject({ code: 'backup-damaged' })
  })

  test.each([126, 127, 137, 143])(
    'is not called damaged when pg_restore ends with %i: it was not there, or killed',
    async (code) => {
      await expect(readingEndsWith(code)).rejects.toMatchObject({ code: 'backup-failed' })
    },
  )
})

describe('a scratch restore that fails', () => {
  test('speaks against the backup', () => {
    expect(isAboutTheBackup(new SamovarError('backup-damaged', 'public.user has 3 rows, expected 4'))).toBe(
      true,
    )
    expect(isAboutTheBackup(new SamovarError('restore-incomplete', 'could not read from input file'))).toBe(
      true,
    )
  })

  test.each([
    'could not extend file "base/16385/16401": No space left on device',
    'out of memory',
    'server closed the connection unexpectedly',
    'terminating connection due to administrator command',
    'pg_restore ended with exit code 137',
  ])('does not when the host is what failed: %s', (message) => {
    expect(isAboutTheBackup(new SamovarError('restore-incomplete', message))).toBe(false)
  })

  test('does not when it is the engine or the time', () => {
    expect(isAboutTheBackup(new SamovarError('timed-out', 'the check did not end'))).toBe(false)
    expect(isAboutTheBackup(new SamovarError('engine-unreachable', 'gone'))).toBe(false)
  })
})
