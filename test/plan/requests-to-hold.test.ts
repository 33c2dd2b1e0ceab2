import { expect, test } from 'vitest'
import { requestsToHold } from '../../reconciler/plan/requests-to-hold.ts'
import { target } from './given.ts'

const health = { within: 60_000, steady: 0, soak: 0, checks: [] }
const policy = (hold: number | null) => ({ health, hold })
const targets = [
  target({
    service: 'gitea',
    dependsOn: [{ service: 'postgres', restart: true, condition: 'service_healthy' }],
  }),
  target({ service: 'postgres' }),
  target({ service: 'pages' }),
]

test('without `hold` nothing is held', () => {
  const policies = { gitea: policy(null), postgres: policy(null) }
  expect(requestsToHold({ targets, policies, swapped: ['gitea'], stopped: [] })).toBeNull()
})

test('a service that is swapped is held as long as it says', () => {
  const policies = { gitea: policy(20_000), postgres: policy(null) }
  const hold = requestsToHold({ targets, policies, swapped: ['gitea'], stopped: [] })
  expect(hold).toEqual({ ms: 20_000, services: ['gitea'], others: [], since: null })
})

test('who is restarted with the service, or stopped for its data, is held, too, until it answers itself', () => {
  const policies = { gitea: policy(20_000), postgres: policy(null), pages: policy(5_000) }
  expect(requestsToHold({ targets, policies, swapped: ['postgres'], stopped: ['pages', 'gitea'] })).toEqual({
    // Nobody waits longer than was said for its service.
    ms: 5_000,
    services: ['gitea', 'pages'],
    others: [
      { service: 'gitea', tag: '1.0.0', health },
      { service: 'pages', tag: '1.0.0', health },
    ],
    since: null,
  })
})

test('who has nothing to do with the roll-out is not held', () => {
  const policies = { gitea: policy(20_000), postgres: policy(null), pages: policy(5_000) }
  const hold = requestsToHold({ targets, policies, swapped: ['gitea'], stopped: [] })
  expect(hold?.services).toEqual(['gitea'])
})
