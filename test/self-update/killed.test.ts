import { describe, expect, test } from 'vitest'
import { type Installed, installed } from './installed.ts'
import type { Behaviour } from './releases.ts'

/** Most of each case is waiting. */
const atOnce = 4

/**
 * Kills the updater before each act of an update, the last one included; between the end of an act and the next one
 * nothing happens.
 */
async function killedAtEach(
  behaviour: Behaviour,
  check: (host: Installed, release: string, moment: string) => Promise<void>,
  which: (moment: string, all: string[]) => boolean = () => true,
): Promise<number> {
  await using whole = await installed()
  const release = whole.build({ version: '1.1.0', behaviour })
  const { moments } = await whole.updater({ release })
  const kills = moments
    .map((moment, killAt) => ({ moment, killAt }))
    .filter(({ moment, killAt }) => moment.endsWith(' begun') || killAt === moments.length - 1)
    .filter(({ moment }) => which(moment, moments))
  const rest = [...kills]
  const work = async () => {
    for (let kill = rest.shift(); kill !== undefined; kill = rest.shift()) {
      await using host = await installed()
      const killed = await host.updater({ release, killAt: kill.killAt })
      expect(killed.exitCode, kill.moment).toBe(137)
      await check(host, release, kill.moment)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return kills.length
}

describe('after kill -9 of the updater one more call ends with exactly one release that runs', () => {
  test.each([
    ['fine', 'kept', '1.1.0'],
    ['ends at once', 'reverted', '1.0.0'],
  ] as const)(
    'at every moment of an update to a release that is "%s": %s',
    async (behaviour, phase, version) => {
      const kills = await killedAtEach(behaviour, async (host, release, moment) => {
        const record = await host.update({ release })
        expect(record.phase, moment).toBe(phase)
        expect(await host.sight(), moment).toMatchObject({ state: 'ready', version })
        expect(host.link('current'), moment).toBe(`releases/${version}`)
      })
      expect(kills).toBeGreaterThan(10)
    },
    180_000,
  )

  test('once it goes back it never tries the new release again', async () => {
    const kills = await killedAtEach(
      'ends at once',
      async (host, release, moment) => {
        const { stdout, moments } = await host.updater({ release })
        expect(JSON.parse(stdout), moment).toMatchObject({ phase: 'reverted' })
        expect(moments, moment).not.toContain('set current begun')
      },
      (moment, all) => all.indexOf(moment) > all.indexOf('note going-back done') && moment !== all.at(-1),
    )
    expect(kills).toBeGreaterThan(3)
  }, 180_000)

  test('the unit for going back does it as well, at every moment after the swap began', async () => {
    const kills = await killedAtEach(
      'ends at once',
      async (host, _release, moment) => {
        expect(await host.update({ back: true }), moment).toMatchObject({ phase: 'reverted' })
        expect(await host.sight(), moment).toMatchObject({ state: 'ready', version: '1.0.0' })
        expect(host.link('current'), moment).toBe('releases/1.0.0')
      },
      (moment, all) =>
        all.indexOf(moment) > all.indexOf('note swapping begun') &&
        all.indexOf(moment) <= all.indexOf('note reverted begun'),
    )
    expect(kills).toBeGreaterThan(5)
  }, 180_000)
})
