import { openState } from '../../reconciler/parts.ts'
import { momentBefore, roundOfJob } from '../../reconciler/plan/rounds.ts'
import { hostYaml, startHost, type TestHost } from './test-host.ts'

/** A moment of the calendar that no run of the tests meets by itself. */
export const schedule = { expression: '0 4 1 1 *', timezone: 'UTC' }

const write = (text: string): string => `sh, -c, "echo '${text}' > /live/answer.conf; echo wrote"`

/** What the jobs of the host run, by name: words of YAML. */
const commands: Record<string, string> = {
  one: write('return 200 one;'),
  broken: write('return 200 '),
  fails: 'sh, -c, "echo asking; echo no; exit 3"',
  waits: 'sh, -c, "trap \'exit 0\' TERM; echo waiting; sleep 600 & wait"',
  rests: 'sh, -c, "echo resting; sleep 5"',
}

export const jobYaml = (name: string, then = 'reload: web, ifChanged: { volume: live }', more = ''): string =>
  `  ${name}: { schedule: "${schedule.expression}", run: { service: certbot, command: [${commands[name]}] }, ${more} then: { ${then} } }\n`

/** What the host wants: nginx in a version, and jobs. */
export const desired = (host: TestHost, jobs: string, version = '1.0.0'): Record<string, string> => ({
  'desired-state/host.yaml': hostYaml(host.project, jobs === '' ? '' : `jobs:\n${jobs}`),
  'desired-state/services/web.yaml': `image: ${host.rig.registry}/nginx\ntag: ${version}
health:
  within: 8s
  steady: 200ms
  soak: 0s
  checks:
    - { command: [nginx, -t], in: web }
    - { http: "http://127.0.0.1:${host.port}/" }
`,
})

/** nginx answers what a file in a volume says, once it has read it; certbot, which runs only when asked, writes it. */
export async function startJobsHost(purpose: string, jobs: string): Promise<TestHost> {
  const host = await startHost(purpose, (port, rig) =>
    [
      'services:',
      '  web:',
      '    image: nginx',
      '    restart: unless-stopped',
      '    stop_grace_period: 5s',
      `    ports: ["127.0.0.1:${port}:80"]`,
      '    volumes: ["live:/live", "./site.conf:/etc/nginx/conf.d/default.conf"]',
      '  certbot:',
      `    image: ${rig.registry}/tools:1.0.0`,
      '    profiles: [jobs]',
      '    stop_grace_period: 2s',
      '    restart: unless-stopped',
      '    ports: ["8080"]',
      '    volumes: ["live:/live", "/scratch"]',
      'volumes:',
      '  live:',
    ].join('\n'),
  )
  await host.commit({
    ...desired(host, jobs),
    'compose/site.conf':
      'server {\n  listen 80;\n  location / { include /live/*.conf; return 200 nothing; }\n}\n',
  })
  return host
}

export async function answerOf(host: TestHost): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${host.port}/`, { headers: { connection: 'close' } })
  return (await answer.text()).trim()
}

/** Containers of the project, `web running`; a one-off one as `certbot once running`. */
export async function containersOf(host: TestHost): Promise<string[]> {
  const seen = await (await host.parts()).engine.observe(host.project)
  return seen.map((each) => `${each.service}${each.oneOff ? ' once' : ''} ${each.state}`).sort()
}

/** How often nginx was told to read its configuration again. */
export async function reloads(host: TestHost): Promise<number> {
  const { engine } = await host.parts()
  const web = (await engine.observe(host.project)).find((each) => each.service === 'web')
  const lines = await engine.logs(web?.instance ?? '', 1_000)
  return lines.filter((line) => line.includes('(SIGHUP) received')).length
}

/** As if the machine had been off at a moment of the job's schedule. */
export function missJob(host: TestHost, name: string): void {
  const journal = openState(host.stateDir)
  const dueAt = momentBefore(schedule, momentBefore(schedule, Date.now()) - 1)
  journal.beginRound({ name: roundOfJob(name), dueAt, schedule }, { now: dueAt, again: false })
  journal.endRound(roundOfJob(name), 'done', dueAt)
  journal.close()
}

export function journalOf<T>(host: TestHost, read: (journal: ReturnType<typeof openState>) => T): T {
  const journal = openState(host.stateDir)
  try {
    return read(journal)
  } finally {
    journal.close()
  }
}
