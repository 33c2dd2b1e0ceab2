import { expect, test } from 'vitest'
import { isDrift } from '../reconciler/drift-watch.ts'

const event = (action: string, name = 'site-web-1') => ({
  ...{ instance: 'container of web', service: 'web', action, name, at: 0 },
})

test('a set-aside container that is started makes a pass look at once', () => {
  expect(isDrift(event('start', 'site-web-1.old-20261122-110000-abcd'))).toBe(true)
})

test('the start of a service itself is no drift, its end is', () => {
  expect(isDrift(event('start'))).toBe(false)
  expect(isDrift(event('die'))).toBe(true)
})
