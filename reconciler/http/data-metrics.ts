import { Counter, Gauge, type Registry } from 'prom-client'
import type { BackupRecord, DataCounts, Verified } from '../journal/data-records.ts'

/** What the journal knows of backups, so that the figures are right after a restart of the daemon. */
export type DataMetricsSource = {
  /** Those that were taken and read back whole; newest first. */
  provenBackups(): BackupRecord[]
  verifications(): Verified[]
  dataCounts(): DataCounts
  /** Names of the services of the desired state; empty when no look has seen it yet. */
  services(): string[]
  /** Backups, verifications and restores going on now. */
  atWork(): number
  now(): number
}

/**
 * The metrics of backups. A backup is that of the service whose data it is (the first, when several share theirs) and
 * of a class; services that left the desired state are left out, else an alert about their age would never end.
 */
export function addDataMetrics(registry: Registry, source: DataMetricsSource): void {
  newestBackups(registry, source)
  verifications(registry, source)
  counters(registry, source)
  new Gauge({
    name: 'samovar_data_operation_in_progress',
    help: 'Backups, verifications and restores going on now',
    registers: [registry],
    collect() {
      this.set(source.atWork())
    },
  })
}

/** One scrape asks for several metrics of one answer. */
const scrape = 100

function oncePerScrape<T>(read: () => T): () => T {
  let last: { value: T; at: number } | null = null
  return () => {
    if (last === null || performance.now() - last.at > scrape) last = { value: read(), at: performance.now() }
    return last.value
  }
}

function newestBackups(registry: Registry, source: DataMetricsSource): void {
  const newest = oncePerScrape(() => newestOfEach(source))
  const labelNames = ['service', 'class']
  const gauge = (name: string, help: string, value: (backup: BackupRecord) => number) =>
    new Gauge({
      name: `samovar_backup_${name}`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset()
        for (const backup of newest())
          this.set({ service: backup.services[0] ?? '', class: backup.class }, value(backup))
      },
    })
  const ofNewest = 'of the newest good backup of each service and class'
  gauge('last_success_timestamp_seconds', `When the data is from, ${ofNewest}`, (backup) => backup.at / 1000)
  gauge('age_seconds', `How old the data is, ${ofNewest}`, (backup) => (source.now() - backup.at) / 1000)
  gauge('bytes', `Size in one store, ${ofNewest}`, (backup) => backup.bytes)
  gauge('plain_bytes', `Size before packing, ${ofNewest}`, (backup) => backup.plainBytes)
  gauge('duration_seconds', `How long the copying took, ${ofNewest}`, (backup) => backup.ms / 1000)
}

function newestOfEach(source: DataMetricsSource): BackupRecord[] {
  const present = new Set(source.services())
  const newest = new Map<string, BackupRecord>()
  for (const backup of source.provenBackups()) {
    const name = `${backup.services[0]} ${backup.class}`
    const isHere = present.size === 0 || backup.services.some((service) => present.has(service))
    if (isHere && !newest.has(name)) newest.set(name, backup)
  }
  return [...newest.values()]
}

function verifications(registry: Registry, source: DataMetricsSource): void {
  const last = (name: string, help: string, value: (verified: Verified) => number) =>
    new Gauge({
      name: `samovar_verify_${name}`,
      help,
      registers: [registry],
      collect() {
        const newest = source.verifications().at(-1)
        if (newest === undefined) this.remove()
        else this.set(value(newest))
      },
    })
  last('last_success', '1 when the last verification found the backup whole, else 0', ({ good }) =>
    Number(good),
  )
  last('last_level', 'How deep the last verification looked: 0, 1 or 2', ({ level }) => level)
  new Gauge({
    name: 'samovar_verify_last_success_timestamp_seconds',
    help: 'When a verification last found a backup whole, by its level',
    labelNames: ['level'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { level, at, good } of source.verifications()) if (good) this.set({ level }, at / 1000)
    },
  })
}

function counters(registry: Registry, source: DataMetricsSource): void {
  const all = oncePerScrape(() => source.dataCounts())
  const counter = (name: string, help: string, counts: () => Record<string, number>) =>
    new Counter({
      name: `samovar_${name}_total`,
      help,
      labelNames: ['result'],
      registers: [registry],
      collect() {
        this.reset()
        for (const [result, count] of Object.entries(counts())) this.inc({ result }, count)
      },
    })
  counter(
    'backups',
    'Backups that were tried, by themselves or within a roll-out or a restore, since the journal began',
    () => all().backups,
  )
  counter('verifications', 'Verifications that ended', () => all().verifications)
  counter('restores', 'Restores that ended', () => all().restores)
}
