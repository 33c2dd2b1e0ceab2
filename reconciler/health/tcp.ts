import { connect } from 'node:net'
import type { HealthCheck } from '../desired-state.ts'
import type { Check, CheckResult } from './health-check.ts'
import { connectionSentence } from './sentences.ts'

/** Passes when a connection is accepted; nothing is sent. An IPv6 address may stand in brackets. */
export function tcpCheck(policy: Extract<HealthCheck, { kind: 'tcp' }>): Check {
  const host = policy.host.replace(/^\[(.*)\]$/, '$1')
  const shown = `${host.includes(':') ? `[${host}]` : host}:${policy.port}`
  return {
    name: `tcp ${shown}`,
    every: policy.every,
    timeout: policy.timeout,
    run: (signal) => {
      const { promise, resolve } = Promise.withResolvers<CheckResult>()
      const socket = connect({ host, port: policy.port, signal })
      socket.once('connect', () => resolve({ ok: true, said: `connected (${shown})` }))
      socket.on('error', (error) => resolve({ ok: false, said: `${connectionSentence(error)} (${shown})` }))
      return promise.finally(() => socket.destroy())
    },
  }
}
