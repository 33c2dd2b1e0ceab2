import { startHost, type TestHost } from '../end-to-end/test-host.ts'
import type { RigInUse } from '../rig/use-rig.ts'

/** A host with that many small services, committed and not rolled out yet. */
export async function hostWithServices(purpose: string, count: number): Promise<TestHost> {
  const names = Array.from({ length: count }, (_, at) => `s${String(at + 1).padStart(3, '0')}`)
  const compose = `services:\n${names.map((name) => `  ${name}:\n    image: tools\n    restart: unless-stopped\n    environment: { NAME: ${name} }\n`).join('')}`
  const host = await startHost(purpose, () => compose)
  const files = names.map((name): [string, string] => [
    `desired-state/services/${name}.yaml`,
    serviceYaml(host.rig),
  ])
  await host.commit({ 'desired-state/services/web.yaml': null, ...Object.fromEntries(files) })
  return host
}

/** As short a health check as there is: what is measured begins after the roll-out. */
const serviceYaml = (rig: RigInUse): string =>
  `image: ${rig.registry}/tools\ntag: 1.0.0\nhealth:\n  within: 20s\n  steady: 0s\n  soak: 0s\n`

/** @throws Error when a service was not rolled out: its figures would be those of another host */
export async function rollOutAll(host: TestHost): Promise<number> {
  const began = performance.now()
  const { operations, findings } = await host.pass()
  const failed = operations.filter((each) => each.result !== 'applied')
  if (findings.length > 0 || failed.length > 0 || operations.length === 0)
    throw new Error(
      `The services were not rolled out: ${JSON.stringify(findings)} ${failed[0]?.reason ?? ''}`,
    )
  return performance.now() - began
}
