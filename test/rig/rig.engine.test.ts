import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { pushWeb } from './images.ts'
import { mustRun } from './process.ts'
import { freePort } from './registry.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'
import { useRig } from './use-rig.ts'

const rig = useRig()
const environment = { ...process.env, ...rig.environment }
const projects: string[] = []

async function up(services: Record<string, object>): Promise<string> {
  await using folder = await tempFolder('compose')
  const project = rig.project('rig')
  projects.push(project)
  await writeFile(join(folder.path, 'compose.yaml'), JSON.stringify({ name: project, services }))
  await mustRun('docker-compose', ['up', '-d', '--quiet-pull'], { cwd: folder.path, env: environment })
  return project
}

afterAll(async () => {
  for (const project of projects)
    await mustRun('docker-compose', ['-p', project, 'down', '-v', '-t', '0'], { env: environment })
})

const healthOf = async (name: string) => (await rig.docker.getContainer(name).inspect()).State.Health?.Status

test('a good version answers its version and its health through a published port, and stops within its grace', async () => {
  const port = await freePort()
  const web = { image: rig.image('web', '1.1.0'), ports: [`127.0.0.1:${port}:8080`] }
  const project = await up({ web })
  const answer = await until('it answers', () => fetch(`http://127.0.0.1:${port}/version`), {
    withinMs: 20_000,
  })
  expect(await answer.json()).toEqual({ version: '1.1.0' })
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
  await until('healthy', async () => (await healthOf(`${project}-web-1`)) === 'healthy', { withinMs: 20_000 })
  await rig.docker.getContainer(`${project}-web-1`).stop({ t: 10 })
  expect((await rig.docker.getContainer(`${project}-web-1`).inspect()).State.ExitCode).toBe(0)
})

test('the bad versions are bad in their own way, and say why in their log', async () => {
  const port = await freePort()
  const sick = { image: rig.image('web', '2.0.0'), ports: [`127.0.0.1:${port}:8080`] }
  const sickens = { image: rig.image('web', '2.3.0') }
  const slow = { image: rig.image('web', '2.2.0') }
  const project = await up({ sick, exits: { image: rig.image('web', '2.1.0') }, sickens, slow })
  const answer = await until('it answers', () => fetch(`http://127.0.0.1:${port}/healthz`), {
    withinMs: 20_000,
  })
  expect(answer.status).toBe(503)
  const exited = await rig.docker.getContainer(`${project}-exits-1`).inspect()
  expect(exited.State.ExitCode).toBe(3)
  const log = await mustRun('docker-compose', ['-p', project, 'logs', '--no-color'], { env: environment })
  expect(log).toMatch(/cannot read the setting/)
  expect(log).toMatch(/database schema/)
  const seen = new Set<string | undefined>()
  await until(
    'the second one is healthy first and then not',
    async () => seen.add(await healthOf(`${project}-sickens-1`)).has('unhealthy'),
    { withinMs: 30_000 },
  )
  expect(seen).toContain('healthy')
  await until('the slow one is healthy', async () => (await healthOf(`${project}-slow-1`)) === 'healthy', {
    withinMs: 30_000,
  })
})

test('nginx in front of web finds it by name and takes a new configuration without a restart', async () => {
  const port = await freePort()
  await using folder = await tempFolder('nginx')
  const configuration = (location: string) =>
    writeFile(join(folder.path, 'site.conf'), `server { listen 80; ${location} }`)
  await configuration('location / { proxy_pass http://web:8080; }')
  const proxy = {
    image: rig.image('nginx', '1.0.0'),
    ports: [`127.0.0.1:${port}:80`],
    volumes: [`${folder.path}:/etc/nginx/conf.d:ro`],
    depends_on: ['web'],
  }
  const project = await up({ web: { image: rig.image('web', '1.0.0') }, proxy })
  const version = async () => (await fetch(`http://127.0.0.1:${port}/version`)).text()
  await until('the proxy passes on', async () => (await version()).includes('"1.0.0"'), { withinMs: 20_000 })
  await configuration('location / { return 200 "new"; }')
  await mustRun('docker', ['exec', `${project}-proxy-1`, 'nginx', '-s', 'reload'], { env: environment })
  await until('the new configuration serves', async () => (await version()) === 'new', { withinMs: 10_000 })
})

test('a further version is pushed and pulled by the digest that the push answered', async () => {
  const digest = await pushWeb(rig.registry, '1.9.0', 'good')
  expect(await pushWeb(rig.registry, '1.9.0', 'good')).toBe(digest)
  await mustRun('docker', ['pull', '-q', `${rig.registry}/web@${digest}`], { env: environment })
  const image = await rig.docker.getImage(`${rig.registry}/web@${digest}`).inspect()
  expect(image.RepoDigests).toContain(`${rig.registry}/web@${digest}`)
})

test('`docker compose` and `docker-compose` are both a Compose of version 2', async () => {
  for (const command of [['docker', 'compose'], ['docker-compose']]) {
    const [program = '', ...args] = command
    expect(await mustRun(program, [...args, 'version', '--short'], { env: environment })).toMatch(/^v?2\./)
  }
})
