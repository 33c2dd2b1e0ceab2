import { type ServiceFile, serviceOf } from '../../reconciler/desired-state/policies.ts'
import type { ServicePolicy } from '../../reconciler/desired-state.ts'

/** The policy of a service `web` at 1.0.0, with what a file would say beside that. */
export const policyOf = (file: ServiceFile = {}, service = 'web'): ServicePolicy =>
  serviceOf(
    service,
    `desired-state/services/${service}.yaml`,
    { image: `registry.example.com/${service}`, tag: '1.0.0', ...file },
    new Set(),
  )
