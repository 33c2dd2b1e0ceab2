import { glob, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { makeMetrics } from '../../reconciler/http/metrics.ts'
import { type RetainedBackup, retain } from '../../reconciler/plan/retention.ts'
import { blocksOf } from './runbook.ts'

const text = await readFile('docs/backup.md', 'utf8')
const day = 86_400_000

describe('docs/backup.md', () => {
  test('has the retention example as Samovar judges it', () => {
    const policy = { last: 2, daily: 5, weekly: 3, monthly: 3 }
    expect(text).toContain('`keep: { last: 2, daily: 5, weekly: 3, monthly: 3 }`')
    const backup = (createdAt: number): RetainedBackup => ({
      id: String(createdAt),
      services: ['gitea'],
      class: 'scheduled',
      createdAt,
      good: true,
    })
    const newest = Date.parse('2026-11-22T01:00:00Z')
    const backups = Array.from({ length: 60 }, (_, index) => {
      // Two in the morning, in summer too.
      const at = newest - index * day
      return backup(at < Date.parse('2026-10-25T01:00:00Z') ? at - 3_600_000 : at)
    })
    backups.push({ ...backup(Date.parse('2026-11-18T14:30:00Z')), class: 'before-update' })
    const facts = {
      now: Date.parse('2026-11-22T12:00:00Z'),
      timezone: 'Europe/Berlin',
      protected: new Map<string, string>(),
    }
    const rows = retain(backups, policy, facts)
      .filter((each) => each.keep)
      .toSorted((a, b) => Number(b.id) - Number(a.id))
      .map((each) => `| ${inBerlin(Number(each.id))} | ${each.reasons.join(', ')} |`)
    expect(text).toContain(`|---|---|\n${rows.join('\n')}\n\n`)
  })

  test('names metrics that there are, and all that are about data', async () => {
    const { registry } = makeMetrics(
      {
        status: () => ({ services: [], lastPass: null, fetchedAt: null }) as never,
        lastPassMs: () => null,
        lastPassOk: () => true,
        rollingOut: () => 0,
        jobs: () => [],
        now: () => 0,
        data: {
          provenBackups: () => [],
          verifications: () => [],
          dataCounts: () => ({
            backups: { good: 0, failed: 0 },
            verifications: { good: 0, failed: 0 },
            restores: { applied: 0, untouched: 0, stuck: 0 },
          }),
          atWork: () => 0,
        },
      },
      '0',
    )
    const there = registry.getMetricsAsArray().map(({ name }) => name)
    const named = new Set(text.match(/samovar_[a-z_]+/g))
    expect([...named].filter((name) => !there.includes(name))).toEqual([])
    const aboutData = there.filter((name) => /^samovar_(backup|verif|restore|data)/.test(name))
    expect(aboutData.filter((name) => !text.includes(name))).toEqual([])
  })

  test('has a policy for S3 that is JSON, and grants what is called and no more', async () => {
    const policy = (await blocksOf('docs/backup.md')).find((each) => each.kind === 'json')
    const { Statement } = JSON.parse(policy?.text ?? '') as { Statement: { Action: string | string[] }[] }
    const granted = Statement.flatMap((each) => each.Action)
    const rights: Record<string, string> = {
      PutObject: 's3:PutObject',
      HeadObject: 's3:GetObject',
      GetObject: 's3:GetObject',
      DeleteObject: 's3:DeleteObject',
      ListObjectsV2: 's3:ListBucket',
      ListMultipartUploads: 's3:ListBucketMultipartUploads',
      AbortMultipartUpload: 's3:AbortMultipartUpload',
    }
    const called = new Set<string>()
    for await (const file of glob('reconciler/backup/s3-*.ts'))
      for (const [, name = ''] of (await readFile(file, 'utf8')).matchAll(/\b([A-Z]\w+)Command\(/g))
        called.add(rights[name] ?? name)
    expect(granted.toSorted()).toEqual([...called].toSorted())
  })

  test('leads nowhere that is not there', async () => {
    for (const file of ['docs/backup.md', 'docs/operations.md', 'docs/architecture.md', 'README.md'])
      for (const [, target = ''] of (await readFile(file, 'utf8')).matchAll(/\]\(([^)]+)\)/g)) {
        const [path = '', place] = target.split('#')
        if (/^https?:/.test(path)) continue
        const found = path === '' ? file : join(dirname(file), path)
        const content = await readFile(found, 'utf8').catch((error: { code: string }) => error.code)
        expect(`${file}: ${target}: ${content}`).not.toMatch(/: ENOENT$/)
        if (place !== undefined) expect(placesOf(content), `${file}: ${target}`).toContain(place)
      }
  })
})

const inBerlin = (at: number): string =>
  new Date(at).toLocaleString('sv-SE', { timeZone: 'Europe/Berlin' }).slice(0, 16)

/** What a heading is called in a link. */
const placesOf = (markdown: string): string[] =>
  [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
