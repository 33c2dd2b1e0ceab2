import fc from 'fast-check'
import { expect, test } from 'vitest'
import { imagesToDrop } from '../../reconciler/plan/images-to-drop.ts'

const image = (tag: string, at: number, name = 'web') => ({
  digest: `digest of ${name} ${tag}`,
  id: `id of ${name} ${tag}`,
  name,
  tag,
  at,
})
const known = [image('1', 1), image('2', 2), image('3', 3), image('4', 4)]
const dropped = (inUse: string[], keep: number) =>
  imagesToDrop(known, new Set(inUse), keep)
    .map((each) => each.tag)
    .sort()

test('beside what is in use the newest stay', () => {
  expect(dropped(['id of web 4'], 1)).toEqual(['1', '2'])
  expect(dropped(['id of web 4'], 0)).toEqual(['1', '2', '3'])
})

test('a rollback target stays, however old it is', () => {
  expect(dropped(['id of web 4', 'digest of web 1'], 0)).toEqual(['2', '3'])
})

test('each repository keeps its own', () => {
  const all = [...known, image('9', 0, 'api')]
  expect(imagesToDrop(all, new Set(), 1).map((each) => `${each.name} ${each.tag}`)).toEqual([
    'web 3',
    'web 2',
    'web 1',
  ])
})

test('what is in use never goes, and never more goes than is needed', () => {
  const images = fc.uniqueArray(
    fc.record({ number: fc.nat(30), at: fc.nat(100), name: fc.constantFrom('web', 'api') }),
    { selector: ({ name, number }) => `${name} ${number}` },
  )
  fc.assert(
    fc.property(images, fc.array(fc.nat(30)), fc.nat(4), (list, used, keep) => {
      const all = list.map(({ number, at, name }) => image(String(number), at, name))
      const inUse = new Set(used.flatMap((number) => [`id of web ${number}`, `digest of api ${number}`]))
      const gone = imagesToDrop(all, inUse, keep)
      const isUsed = (each: (typeof all)[number]) => inUse.has(each.id) || inUse.has(each.digest)
      expect(gone.filter(isUsed)).toEqual([])
      for (const name of ['web', 'api']) {
        const unused = all.filter((each) => each.name === name && !isUsed(each))
        const stays = unused.filter((each) => !gone.includes(each))
        expect(stays).toHaveLength(Math.min(keep, unused.length))
        const oldestThatStays = Math.min(...stays.map((each) => each.at))
        for (const each of gone.filter((one) => one.name === name && stays.length > 0))
          expect(each.at).toBeLessThanOrEqual(oldestThatStays)
      }
    }),
  )
})
