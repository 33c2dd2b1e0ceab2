import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { until } from '../rig/until.ts'
import { type RigInUse, useRig } from '../rig/use-rig.ts'

const demo = resolve(import.meta.dirname, 'demo.ts')

type Running = { child: ChildProcess; output: () => string; ended: Promise<number | null> }

function startDemo(): Running {
  const child = spawn(process.execPath, [demo], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
  return { child, output: () => text, ended: once(child, 'close').then(([code]) => code as number | null) }
}

/** Containers, networks, temp folders and processes carry the run's name, and that has the demo's process in it. */
async function leftOf(rig: RigInUse, pid: number): Promise<string[]> {
  const isOurs = (text: string) => new RegExp(`st[0-9a-f]{6}-${pid}-\\d`).test(text)
  const labels = (each: { Labels?: Record<string, string> | undefined }) => JSON.stringify(each.Labels ?? {})
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isOurs(environmentOf(name)))
  return [
    ...(await rig.docker.listContainers({ all: true })).filter((each) => isOurs(labels(each))).map(labels),
    ...(await rig.docker.listNetworks()).filter((each) => isOurs(labels(each))).map(labels),
    ...readdirSync(tmpdir()).filter(isOurs),
    ...readdirSync(join(rig.cacheFolder, 'runs')).filter(isOurs),
    ...processes,
  ]
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8')
  } catch {
    return ''
  }
}

test('the demo shows a bump, a revert and corrected drift, and leaves nothing behind', async () => {
  const rig = useRig()
  const { child, output, ended } = startDemo()
  const code = await ended
  expect(output(), output()).toContain('All of this was checked and true.')
  expect(code).toBe(0)
  expect(output()).toMatch(/^broken +reverted /m)
  expect(output()).toMatch(/^with data +reverted /m)
  expect(output().includes('\u001b')).toBe(false)
  expect(await leftOf(rig, child.pid ?? 0)).toEqual([])
})

test('Ctrl-C in the middle cleans up, and so does the next demo after one that was killed', async () => {
  const rig = useRig()
  const killed = startDemo()
  await until('the first service is there', () => killed.output().includes('nginx is created'), {
    withinMs: 60_000,
  })
  const first = killed.child.pid ?? 0
  expect(await leftOf(rig, first)).toContain(daemonOf(first))
  killed.child.kill('SIGKILL')
  await until('the orphaned daemon has ended', () => daemonOf(first) === undefined, { withinMs: 30_000 })

  const next = startDemo()
  await until('the first service is there', () => next.output().includes('nginx is created'), {
    withinMs: 60_000,
  })
  expect(await leftOf(rig, first)).toEqual([])
  next.child.kill('SIGINT')
  expect(await next.ended).toBe(130)
  expect(await leftOf(rig, next.child.pid ?? 0)).toEqual([])
})

const daemonOf = (demoProcess: number): string | undefined =>
  readdirSync('/proc').find((name) => {
    const environment = /^\d+$/.test(name) ? environmentOf(name) : ''
    return environment.includes(`-${demoProcess}-`) && environment.includes('SAMOVAR_LISTEN=')
  })
