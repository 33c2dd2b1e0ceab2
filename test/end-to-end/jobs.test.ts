import { describe, expect, test } from 'vitest'
import type { OperationDocument } from '../../reconciler/documents.ts'
import type { JobStatus } from '../../reconciler/job-status.ts'
import type { Operation } from '../../reconciler/journal/operation.ts'
import type { Status } from '../../reconciler/status.ts'
import { until } from '../rig/until.ts'
import {
  answerOf,
  containersOf,
  desired,
  jobYaml,
  journalOf,
  missJob,
  reloads,
  startJobsHost,
} from './jobs-host.ts'
import { documentOf, samovar, startDaemon } from './samovar.ts'
import type { TestHost } from './test-host.ts'

const jobRuns = (host: TestHost): Operation[] =>
  journalOf(host, (journal) => journal.history(50).filter((each) => each.kind === 'job'))

const debug = { LOG_LEVEL: 'debug' }

describe('samovar job', () => {
  test('runs the one-off container of a service, and nginx reads what it wrote, once', async () => {
    await using host = await startJobsHost('job', jobYaml('one') + jobYaml('broken') + jobYaml('fails'))
    expect(await samovar(host, ['apply'])).toMatchObject({ exitCode: 0 })
    expect(await answerOf(host)).toBe('nothing')
    const first = await samovar(host, ['job', 'one'])
    expect(first.stdout).toMatch(/job one: succeeded after .*\n {2}reloaded web: healthy after /)
    expect(first.exitCode).toBe(0)
    await until('nginx has read it', async () => (await answerOf(host)) === 'one', { withinMs: 5_000 })
    const again = await samovar(host, ['job', 'one'])
    expect(again.stdout).toContain('nothing in volume live has changed: web was not touched')
    expect(await reloads(host)).toBe(1)
    expect(await containersOf(host)).toEqual(['web running'])
    const broken = await samovar(host, ['job', 'broken'])
    expect(broken.exitCode).toBe(1)
    expect(broken.stdout).toMatch(
      /job broken: failed .*\n {2}the job itself succeeded, but web is not healthy after the reload: .*\n {2}next: look at it/,
    )
    expect(await answerOf(host)).toBe('one')

    const failed = await samovar(host, ['job', 'fails'])
    expect(failed.exitCode).toBe(1)
    expect(failed.stdout).toMatch(
      /job fails: failed .*\n {2}exit code 3 after .*: no\n {2}next: samovar show /,
    )
    const shown = await samovar(host, ['show', jobRuns(host)[0]?.id ?? ''])
    expect(shown.stdout).toMatch(/certbot: job fails: failed/)
    expect(shown.stdout).toMatch(/it wrote:\n +asking\n +no\n/)
    const history = await documentOf<OperationDocument[]>(host, ['history', 'certbot'])
    expect(history.map(({ job, result }) => `${job} ${result}`)).toEqual([
      'fails untouched',
      'broken untouched',
      'one applied',
      'one applied',
    ])
    const jobs = await documentOf<JobStatus[]>(host, ['jobs'])
    expect(jobs.map(({ name, last }) => `${name} ${last?.result}`)).toEqual([
      'broken untouched',
      'fails untouched',
      'one applied',
    ])
    expect(jobs[2]).toMatchObject({
      service: 'certbot',
      schedule: '0 4 1 1 *',
      next: expect.stringMatching(/-01-01T04:00:00/),
    })
    const status = await documentOf<Status>(host, ['status'])
    expect(status.jobs).toHaveLength(3)
    expect(status.problems.map((each) => each.about)).toEqual(['job broken', 'job fails'])
    expect(status.services).toMatchObject([{ name: 'web', sync: 'synced' }])
    expect((await samovar(host, ['job', 'two'])).stderr).toContain('there is no job "two"')
  })

  test('is stopped at its time limit, and its container is made as `docker compose run` makes it', async () => {
    await using host = await startJobsHost('limit', jobYaml('waits', 'reload: web', 'timeout: 4s,'))
    expect(await samovar(host, ['apply'])).toMatchObject({ exitCode: 0 })
    const running = samovar(host, ['job', 'waits'])
    const { engine } = await host.parts()
    const once = await until(
      'the job runs',
      async () =>
        (await engine.observe(host.project)).find((each) => each.oneOff && each.state === 'running'),
      { withinMs: 15_000 },
    )
    const seen = await host.rig.docker.getContainer(once.instance).inspect()
    expect(seen.Name).toBe(`/${host.project}-certbot-run`)
    expect(seen.HostConfig).toMatchObject({ RestartPolicy: { Name: 'no' }, PortBindings: {} })
    expect(seen.Config.Labels).toMatchObject({
      'com.docker.compose.oneoff': 'True',
      'com.docker.compose.project': host.project,
      'com.docker.compose.service': 'certbot',
      'samovar.operation': jobRuns(host)[0]?.id,
    })
    const { exitCode, stdout } = await running
    expect(exitCode).toBe(1)
    const nameless = seen.Mounts.find((mount) => mount.Destination === '/scratch')?.Name ?? ''
    expect(nameless).toMatch(/^[0-9a-f]{64}$/)
    await expect(host.rig.docker.getVolume(nameless).inspect()).rejects.toMatchObject({ statusCode: 404 })
    expect(stdout).toContain('it was stopped at its time limit of 4 s: waiting')
    expect(await containersOf(host)).toEqual(['web running'])
  })
})

describe('jobs on a schedule', () => {
  test('a roll-out waits for the end of a job, and the daemon runs one that is asked for', async () => {
    await using host = await startJobsHost('line', jobYaml('rests', 'reload: web'))
    expect(await samovar(host, ['apply'])).toMatchObject({ exitCode: 0 })
    missJob(host, 'rests')
    await using daemon = await startDaemon(host, debug)
    await daemon.line('job rests: step "run" begins', 30_000)
    await host.commit(desired(host, jobYaml('rests', 'reload: web'), '1.1.0'))
    await daemon.line('job rests: succeeded', 30_000)
    await daemon.line('web: applied', 30_000)
    const [run] = jobRuns(host)
    const [rollOut] = journalOf(host, (journal) => journal.history(1, 'web'))
    expect(rollOut).toMatchObject({ kind: 'replace', result: 'applied' })
    expect(rollOut?.startedAt).toBeGreaterThanOrEqual(run?.finishedAt ?? Number.POSITIVE_INFINITY)
    expect(await daemon.metric('samovar_job_last_success_timestamp_seconds{job="rests"}')).toBeGreaterThan(0)
    expect(await daemon.metric('samovar_job_runs_total{job="rests",result="succeeded"}')).toBe(1)
    expect(await daemon.metric('samovar_operations_total{result="applied"}')).toBe(1)

    const asked = samovar(host, ['job', 'rests'])
    await daemon.line('job rests: step "run" begins')
    expect((await asked).stdout).toContain('job rests: succeeded')
    expect(jobRuns(host).map((each) => each.intent.job?.byHand)).toEqual([true, false])
  })

  test('a job that was killed with the daemon is stopped, taken away, and made up once', async () => {
    await using host = await startJobsHost('killed', jobYaml('waits', 'reload: web'))
    expect(await samovar(host, ['apply'])).toMatchObject({ exitCode: 0 })
    missJob(host, 'waits')
    for (const expected of [1, 2]) {
      await using daemon = await startDaemon(host, debug)
      await until('the job runs', () => (jobRuns(host).length === expected ? true : undefined), {
        withinMs: 30_000,
      })
      await until(
        'its container runs',
        async () => (await containersOf(host))[0] === 'certbot once running',
        {
          withinMs: 10_000,
        },
      )
      if (expected === 2) await daemon.line('error job waits: failed: Samovar was cut short while it ran')
      daemon.signal('SIGKILL')
      await daemon.ended
      expect(await containersOf(host)).toEqual(['certbot once running', 'web running'])
    }
    await using daemon = await startDaemon(host, debug)
    const ended = () => daemon.log().filter((line) => line.includes('debug pass: ended')).length
    await until('two passes have ended', () => ended() >= 2, { withinMs: 30_000 })
    expect(jobRuns(host).map((each) => each.result)).toEqual(['untouched', 'untouched'])
    expect(await containersOf(host)).toEqual(['web running'])
  })

  test('a pause of everything holds a job on its schedule, and a newer commit ends one that hangs', async () => {
    await using host = await startJobsHost('fix', jobYaml('waits', 'reload: web'))
    expect(await samovar(host, ['apply'])).toMatchObject({ exitCode: 0 })
    expect(await samovar(host, ['pause'])).toMatchObject({ exitCode: 0 })
    missJob(host, 'waits')
    await using daemon = await startDaemon(host, debug)
    const ended = () => daemon.log().filter((line) => line.includes('debug pass: ended')).length
    await until('two passes have ended', () => ended() >= 2, { withinMs: 30_000 })
    expect(jobRuns(host)).toEqual([])
    expect((await samovar(host, ['jobs'])).stdout).toContain(
      'everything is paused by a person\n  next: samovar resume',
    )
    expect(await samovar(host, ['resume'])).toMatchObject({ exitCode: 0 })
    await daemon.line('job waits: step "run" begins')
    await host.commit(desired(host, jobYaml('fails', 'reload: web').replace('fails:', 'waits:')))
    await daemon.line('changes waits', 20_000)
    await daemon.line('job waits: failed: exit code 3', 20_000)
    expect(await reloads(host)).toBe(0)
    await host.commit(desired(host, ''))
    await daemon.line('job waits: it is no longer in the desired state', 20_000)
    expect(journalOf(host, (journal) => journal.rounds())).toEqual([])
    expect((await documentOf<Status>(host, ['status'])).jobs).toEqual([])
  })
})
