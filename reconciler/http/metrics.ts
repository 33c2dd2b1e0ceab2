import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { JobRun } from '../journal/job-records.ts'
import { isRollOut, type Operation } from '../journal/operation.ts'
import type { Status } from '../status.ts'
import { addDataMetrics, type DataMetricsSource } from './data-metrics.ts'
import { addJobMetrics } from './job-metrics.ts'
import { addNotificationMetrics } from './notification-metrics.ts'

/** What is asked at each scrape; nothing here looks at the engine or at Git. */
export type MetricsSource = {
  status(): Status
  lastPassMs(): number | null
  lastPassOk(): boolean
  rollingOut(): number
  now(): number
  data: Omit<DataMetricsSource, 'services' | 'now'>
  jobs(): JobRun[]
}

export type Metrics = { registry: Registry; operationEnded(operation: Operation): void }

const states = ['idle', 'rolling-out', 'held', 'quarantined', 'stuck', 'paused'] as const
const results = ['applied', 'untouched', 'reverted', 'stuck'] as const

export function makeMetrics(source: MetricsSource, version: string): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const gauge = (name: string, help: string, value: () => number | null) => {
    const made = new Gauge({
      name: `samovar_${name}`,
      help,
      registers: [registry],
      collect() {
        const now = value()
        // What is not known is left out: a reset would say 0.
        if (now === null) this.remove()
        else this.set(now)
      },
    })
    return made
  }
  new Gauge({
    name: 'samovar_build_info',
    help: 'Version of Samovar',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version }, 1)
  const seconds = (iso: string | null): number | null => (iso === null ? null : Date.parse(iso) / 1000)
  gauge('last_pass_timestamp_seconds', 'When the last pass ended well', () =>
    seconds(source.status().lastPass),
  )
  gauge('last_pass_success', '1 when the last pass could look at Git and the host, else 0', () =>
    Number(source.lastPassOk()),
  )
  gauge('pass_duration_seconds', 'How long the last pass took', () => {
    const ms = source.lastPassMs()
    return ms === null ? null : ms / 1000
  })
  gauge('source_staleness_seconds', 'How long ago Git answered last', () => {
    const fetched = seconds(source.status().fetchedAt)
    return fetched === null ? null : source.now() / 1000 - fetched
  })
  gauge('gitea_messages_waiting', 'Messages to Gitea that are not delivered yet', () => {
    return source.status().outbox.waiting
  })
  gauge('gitea_oldest_message_seconds', 'How long the oldest of them has been waiting', () => {
    const since = seconds(source.status().outbox.since)
    return since === null ? 0 : source.now() / 1000 - since
  })
  addNotificationMetrics(
    registry,
    () => source.status().notifications,
    () => source.now(),
  )
  gauge('update_in_progress', 'Roll-outs going on now', () => source.rollingOut())
  servicesGauge(registry, source)
  addDataMetrics(registry, {
    ...source.data,
    services: () => source.status().services.map((each) => each.name),
    now: () => source.now(),
  })
  const [countRollOut, countJob] = [countOperations(registry), addJobMetrics(registry, () => source.jobs())]
  return {
    registry,
    operationEnded(operation) {
      countRollOut(operation)
      countJob(operation)
    },
  }
}

function servicesGauge(registry: Registry, source: MetricsSource): void {
  new Gauge({
    name: 'samovar_services',
    help: 'Services by how they stand',
    labelNames: ['sync', 'state'],
    registers: [registry],
    collect() {
      this.reset()
      // Every combination is there from the start, so that an alert on one can be written before it happens.
      for (const sync of ['synced', 'out-of-sync']) for (const state of states) this.set({ sync, state }, 0)
      for (const { sync, state } of source.status().services) this.inc({ sync, state })
    },
  })
}

function countOperations(registry: Registry): (operation: Operation) => void {
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `samovar_${name}`, help, labelNames, registers: [registry] })
  const operations = counter('operations_total', 'Roll-outs that ended, corrections of drift included', [
    'result',
  ])
  for (const result of results) operations.inc({ result }, 0)
  const rollbacks = counter('rollbacks_total', 'Roll-outs that were put back, by Samovar or by a person')
  const corrections = counter(
    'drift_corrections_total',
    'Services that were put right after they had drifted',
  )
  return (operation) => {
    // Backups, verifications, restores and jobs have figures of their own.
    if (operation.result === 'running' || !isRollOut(operation)) return
    operations.inc({ result: operation.result })
    const byPerson = operation.kind === 'rollback' && operation.result === 'applied'
    if (operation.result === 'reverted' || byPerson) rollbacks.inc()
    if (operation.intent.drift && operation.result === 'applied') corrections.inc()
  }
}
