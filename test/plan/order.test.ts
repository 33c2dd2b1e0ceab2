import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inOrder, restartedWith, sharersOf } from '../../reconciler/plan/order.ts'
import type { Target } from '../../reconciler/plan/target.ts'
import { target } from './given.ts'

const on = (service: string, restart = false) => ({ service, condition: 'service_started' as const, restart })
const names = (targets: Target[]) => targets.map((each) => each.service)

/** Up to eight services that need only services before them in a shuffled list: no cycles. */
const withoutCycles = fc
  .uniqueArray(fc.constantFrom('app', 'cache', 'db', 'files', 'mail', 'proxy', 'search', 'web'), {
    minLength: 1,
  })
  .chain((services) =>
    fc.tuple(
      fc.constant(services),
      fc.array(fc.tuple(fc.nat(7), fc.nat(7), fc.boolean()), { maxLength: 12 }),
      fc.infiniteStream(fc.nat()),
    ),
  )
  .map(([services, pairs, numbers]) => {
    const needs = (index: number, shares: boolean) =>
      pairs
        .filter(([a, b, shared]) => a === index && b < a && shared === shares && services[b] !== undefined)
        .map(([, b]) => services[b] ?? '')
    const targets = services.map((service, index) =>
      target({
        service,
        dependsOn: needs(index, false).map((each) => on(each)),
        shares: [...new Set(needs(index, true))],
      }),
    )
    return targets.toSorted(() => (numbers.next().value % 2 === 0 ? 1 : -1))
  })

test('every service comes once, after all that it depends on or lives in', () => {
  fc.assert(
    fc.property(withoutCycles, (targets) => {
      const ordered = names(inOrder(targets))
      expect(ordered.toSorted()).toEqual(names(targets).toSorted())
      for (const each of targets)
        for (const needed of [...each.dependsOn.map((one) => one.service), ...each.shares])
          expect(ordered.indexOf(needed)).toBeLessThan(ordered.indexOf(each.service))
    }),
  )
})

test('the order is the same however the services are listed', () => {
  fc.assert(
    fc.property(withoutCycles, (targets) => {
      expect(names(inOrder(targets.toReversed()))).toEqual(names(inOrder(targets)))
    }),
  )
})

test('without dependencies services come by name', () => {
  const listed = ['web', 'cache', 'db'].map((service) => target({ service }))
  expect(names(inOrder(listed))).toEqual(['cache', 'db', 'web'])
})

test('a cycle, which Compose refuses, still leaves nobody out', () => {
  const cycle = [
    target({ service: 'a', dependsOn: [on('b')] }),
    target({ service: 'b', dependsOn: [on('a')] }),
  ]
  expect(names(inOrder(cycle)).sort()).toEqual(['a', 'b'])
})

test('what lives in the network of a service comes once, also through another, and never the service itself', () => {
  const vpn = target({ service: 'vpn' })
  const client = target({ service: 'client', shares: ['vpn'] })
  const watcher = target({ service: 'a-watcher', shares: ['vpn', 'client'] })
  expect(names(sharersOf('vpn', [watcher, client, vpn]))).toEqual(['client', 'a-watcher'])
  expect(names(sharersOf('client', [watcher, client, vpn]))).toEqual(['a-watcher'])
  const ring = [target({ service: 'a', shares: ['b'] }), target({ service: 'b', shares: ['a'] })]
  expect(names(sharersOf('a', ring))).toEqual(['b'])
})

test('only dependents that asked for it are restarted with a service', () => {
  const targets = [
    target({ service: 'app', dependsOn: [on('web', true)] }),
    target({ service: 'job', dependsOn: [on('web')] }),
  ]
  expect(names(restartedWith('web', targets))).toEqual(['app'])
})
