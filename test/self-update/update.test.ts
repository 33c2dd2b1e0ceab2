import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { openJournal } from '../../reconciler/journal.ts'
import { mustRun } from '../rig/process.ts'
import { until } from '../rig/until.ts'
import { type Installed, installed, tarOf } from './installed.ts'
import { makeRelease } from './releases.ts'

describe('an update of Samovar itself', { timeout: 60_000 }, () => {
  test('a good release is started, kept, and what ran before can be gone back to', async () => {
    await using host = await installed()
    const record = await host.update(await tarOf(host, { version: '1.1.0' }))
    expect(record).toMatchObject({ phase: 'kept', from: '1.0.0', to: '1.1.0' })
    expect(await host.sight()).toMatchObject({ state: 'ready', version: '1.1.0' })
    expect([host.link('current'), host.link('previous')]).toEqual(['releases/1.1.0', 'releases/1.0.0'])
    const again = await host.update({ release: join(host.folder, 'built/1.1.0') })
    expect(again).toMatchObject({ phase: 'kept', reason: 'release 1.1.0 is the current one' })
    expect(host.supervisor.restarts).toBe(1)
  })

  test.each([
    ['ends at once', /` ended with exit code 1$/],
    ['never ready', /version 1\.1\.0 is not ready: the first pass is not over yet, 2 s after the restart/],
    ['says another version', /version 0\.0\.9 answers instead/],
  ] as const)('a release that %s goes, and the one before runs again', async (behaviour, why) => {
    await using host = await installed()
    const record = await host.update({
      release: host.build({ version: '1.1.0', behaviour }),
      withinMs: 2_000,
    })
    expect(record).toMatchObject({ phase: 'reverted', from: '1.0.0', to: '1.1.0' })
    expect(record.reason).toMatch(why)
    expect(await host.sight()).toMatchObject({ state: 'ready', version: '1.0.0' })
    expect([host.link('current'), host.link('previous')]).toEqual(['releases/1.0.0', null])
  })

  test('a release that is ready for a moment only is not kept', async () => {
    await using host = await installed()
    const release = host.build({ version: '1.1.0', behaviour: 'ready for a moment' })
    const record = await host.update({ release, steadyMs: 1_500, withinMs: 4_000 })
    expect(record).toMatchObject({ phase: 'reverted' })
    expect(await host.sight()).toMatchObject({ state: 'ready', version: '1.0.0' })
  })

  test('a restart that fails leaves the release before in force', async () => {
    await using host = await installed()
    const restart = 'echo "Unit samovar.service not found." >&2; exit 5'
    const record = await host.update({ release: host.build({ version: '1.1.0' }), restart })
    expect(record).toMatchObject({ phase: 'reverted' })
    expect(record.reason).toContain('exit code 5: Unit samovar.service not found.')
    expect(host.link('current')).toBe('releases/1.0.0')
    expect(await host.sight()).toMatchObject({ version: '1.0.0' })
  })

  test('what was not ready before the update need not be ready after going back', async () => {
    await using host = await installed({ behaviour: 'never ready' })
    const record = await host.update({ release: host.build({ version: '1.1.0', behaviour: 'ends at once' }) })
    expect(record).toMatchObject({ phase: 'reverted', before: 'answers' })
  })

  test('when the release before does not come back either, that is said as it is', async () => {
    await using host = await installed()
    const release = host.build({ version: '1.1.0', behaviour: 'ends at once' })
    makeRelease(join(host.root, 'releases/1.0.0'), { version: '1.0.0', behaviour: 'ends at once' })
    const record = await host.update({ release, withinMs: 1_000, backWithinMs: 1_000 })
    expect(record.phase).toBe('stuck')
    expect(record.reason).toMatch(
      /ended with exit code 1; and then release 1\.0\.0: .* ended with exit code 1$/,
    )
    expect(host.link('current')).toBe('releases/1.0.0')
  })

  test('three releases stay on the disk, the linked ones among them', async () => {
    await using host = await installed()
    for (const version of ['1.1.0', '1.2.0', '1.3.0', '1.4.0'])
      expect(await host.update({ release: host.build({ version }) })).toMatchObject({ phase: 'kept' })
    expect(readdirSync(join(host.root, 'releases')).sort()).toEqual(['1.2.0', '1.3.0', '1.4.0'])
    // Back to one that is still there: by its folder.
    const back = await host.update({ release: join(host.root, 'releases/1.2.0') })
    expect(back).toMatchObject({ phase: 'kept', from: '1.4.0', to: '1.2.0' })
    // The one to go back to stays, also when it is the oldest.
    expect(await host.update({ release: host.build({ version: '1.5.0' }) })).toMatchObject({ phase: 'kept' })
    expect(readdirSync(join(host.root, 'releases')).sort()).toEqual(['1.2.0', '1.4.0', '1.5.0'])
  })
})

describe('a release is refused with nothing touched that runs:', { timeout: 60_000 }, () => {
  const refused = async (host: Installed, about: Parameters<Installed['update']>[0], why: RegExp) => {
    const record = await host.update(about)
    expect(record).toMatchObject({ error: 'update-refused' })
    expect(record.message).toMatch(why)
    expect([host.link('current'), host.link('previous')]).toEqual(['releases/1.0.0', null])
    expect(host.supervisor.restarts).toBe(0)
    expect(await host.sight()).toMatchObject({ state: 'ready', version: '1.0.0' })
    expect(readdirSync(join(host.root, 'releases')).filter((name) => name.startsWith('.'))).toEqual([])
  }

  test('an archive whose sha256 is another one, or not told', async () => {
    await using host = await installed()
    const { release } = await tarOf(host, { version: '1.1.0' })
    await refused(host, { release, sha256: '0'.repeat(64) }, /has sha256 [0-9a-f]{64}, not 0000/)
    await refused(host, { release }, /came without its sha256/)
    expect(existsSync(join(host.root, 'releases/1.1.0'))).toBe(false)
  })

  test.each([
    ['../evil', 'x/../../made/evil', []],
    ['an absolute path', '/tmp/evil', []],
    ['a link that leads out', 'x/out', ['--link', '../../elsewhere']],
    ['a file behind a link that leads out', 'x/in/evil', ['--through']],
  ])('an archive with %s', async (_, name, how) => {
    await using host = await installed()
    const file = join(host.folder, 'evil.tar.gz')
    await mustRun('python3', ['-c', writeTar, file, name, ...how])
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
    await refused(host, { release: file, sha256 }, /which leads out of its folder/)
    expect(existsSync(join(host.root, 'evil')) || existsSync(join(host.folder, 'evil'))).toBe(false)
    expect(readdirSync(join(host.root, 'releases'))).toEqual(['1.0.0'])
  })

  test('an archive that is cut off', async () => {
    await using host = await installed()
    const { release } = await tarOf(host, { version: '1.1.0' })
    writeFileSync(release, readFileSync(release).subarray(0, 300))
    const sha256 = createHash('sha256').update(readFileSync(release)).digest('hex')
    await refused(host, { release, sha256 }, /cannot be unpacked/)
  })

  test('what is no release of Samovar', async () => {
    await using host = await installed()
    const release = host.build({ version: '1.1.0' })
    await rm(join(release, 'node_modules'), { recursive: true })
    await refused(host, { release }, /is no release of Samovar: node_modules is missing/)
    await refused(host, { release: join(host.folder, 'nowhere') }, /there is no /)
  })

  test('one whose own doctor finds what the current one does not', async () => {
    await using host = await installed({ doctor: [{ name: 'gitea', ok: false, said: 'it is away' }] })
    const away = { name: 'gitea', ok: false, said: 'it does not answer' }
    const worse = [away, { name: 'desired state', ok: false, said: 'host.yaml:3:1: colour: unknown key' }]
    await refused(
      host,
      { release: host.build({ version: '1.1.0', doctor: worse }) },
      /release 1\.1\.0 finds what 1\.0\.0 does not: desired state: host\.yaml:3:1: colour: unknown key/,
    )
    const same = await host.update({ release: host.build({ version: '1.2.0', doctor: [away] }) })
    expect(same).toMatchObject({ phase: 'kept' })
  })

  test('one that does not say its version', async () => {
    await using host = await installed()
    const release = host.build({ version: '1.1.0', says: 'SyntaxError: nonsense' })
    await refused(host, { release }, /does not say its version: SyntaxError: nonsense/)
  })

  test('any, while a roll-out runs; with --wait it is done after that', async () => {
    await using host = await installed()
    const journal = openJournal(host.stateDir)
    try {
      const operation = journal.beginOperation(
        { service: 'gitea', kind: 'replace', commit: '1', from: null, to: null, intent: {} as never },
        Date.now(),
      )
      const release = host.build({ version: '1.1.0' })
      await refused(host, { release }, /replace of gitea \(.*\) is not finished/)
      const waiting = host.update({ release, waitMs: 30_000 })
      await until('it waits', () => host.link('current') === 'releases/1.0.0', { withinMs: 1_000 })
      journal.saveOperation({ ...operation, result: 'applied' })
      expect(await waiting).toMatchObject({ phase: 'kept' })
    } finally {
      journal.close()
    }
    const copy = join(host.stateDir, 'journal-before-1.1.0.sqlite')
    expect(existsSync(copy)).toBe(true)
  })

  test('a second update while one runs', async () => {
    await using host = await installed()
    const release = host.build({ version: '1.1.0', behaviour: 'never ready' })
    const first = host.update({ release, withinMs: 8_000 })
    await until('it is under way', () => host.link('current') === 'releases/1.1.0', { withinMs: 10_000 })
    const second = await host.update({ release: host.build({ version: '1.2.0' }) })
    expect(second).toMatchObject({ error: 'state-locked' })
    expect(await host.update({ back: true })).toBe(null)
    expect(await first).toMatchObject({ phase: 'reverted' })
  })
})

describe('going back later, when a kept release ends again and again', { timeout: 60_000 }, () => {
  test('goes to the release before, once', async () => {
    await using host = await installed()
    await host.update({ release: host.build({ version: '1.1.0' }) })
    expect(await host.update({ back: true })).toMatchObject({
      phase: 'reverted',
      from: '1.0.0',
      to: '1.1.0',
      reason: 'it crashed',
    })
    expect(await host.sight()).toMatchObject({ state: 'ready', version: '1.0.0' })
    const again = await host.update({ back: true })
    expect(again).toMatchObject({ error: 'update-refused' })
    expect(again.message).toContain('there is no release before 1.0.0 to go back to')
    expect(host.link('current')).toBe('releases/1.0.0')
  })

  test('a failed update leaves what could be gone back to before', async () => {
    await using host = await installed()
    await host.update({ release: host.build({ version: '1.1.0' }) })
    await host.update({
      release: host.build({ version: '1.2.0', behaviour: 'ends at once' }),
      withinMs: 1_000,
    })
    expect([host.link('current'), host.link('previous')]).toEqual(['releases/1.1.0', 'releases/1.0.0'])
  })
})

test('the journal can be read by the release before, and its copy from before is whole', async () => {
  await using host = await installed()
  const journal = openJournal(host.stateDir)
  journal.writeNote('kept', 'through the update')
  journal.close()
  await host.update({ release: host.build({ version: '1.1.0' }) })
  const copy = join(host.stateDir, 'journal-before-1.1.0.sqlite')
  using database = new DatabaseSync(copy, { readOnly: true })
  expect(database.prepare('pragma integrity_check').get()).toEqual({ integrity_check: 'ok' })
  expect(database.prepare("select value from notes where name = 'kept'").get()).toEqual({
    value: 'through the update',
  })
})

/** argv: file, name, and how the member is made. Python writes what tar(1) would not. */
const writeTar = `
import io, sys, tarfile
file, name, how = sys.argv[1], sys.argv[2], sys.argv[3:]
with tarfile.open(file, 'w:gz') as archive:
    if how[:1] == ['--link']:
        entry = tarfile.TarInfo(name); entry.type = tarfile.SYMTYPE; entry.linkname = how[1]
        archive.addfile(entry)
    else:
        if how == ['--through']:
            for at, to in (('x/up', '.'), ('x/in', 'up/../..')):
                entry = tarfile.TarInfo(at); entry.type = tarfile.SYMTYPE; entry.linkname = to
                archive.addfile(entry)
        entry = tarfile.TarInfo(name); entry.size = 4
        archive.addfile(entry, io.BytesIO(b'evil'))
`
