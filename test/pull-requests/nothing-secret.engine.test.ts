import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { planComment, planStatus } from '../../reconciler/pull-requests/plan-comment.ts'
import { fingerprintOfPlan, isAsTold } from '../../reconciler/pull-requests/plan-fingerprint.ts'
import { tempFolder } from '../rig/temp-folder.ts'
import { hostFile, openStage, type Stage, serviceFile } from './stage.ts'

const values = {
  shared: 'sh4red-s3cret-value',
  file: 'f1le-s3cret-value',
  unnamed: 'unn4med-s3cret-value',
  plain: 'pl4in-value-of-force',
  newPlain: 'n3w-plain-value',
}

const everything = (plan: unknown, comment: string, status: unknown): string =>
  JSON.stringify([plan, comment, status])

/** Everything that is told of the newest head. */
async function toldOf(stage: Stage): Promise<{ text: string; plan: Awaited<ReturnType<Stage['plan']>> }> {
  const plan = await stage.plan()
  const comment = planComment(plan, { hostName: 'host', now: Date.now(), version: '0.1.0' })
  return { plan, text: everything(plan, comment, planStatus(plan)) }
}

const everywhere = (shared: string, plain: string): string => `services:
  web:
    image: web
    container_name: "site-${plain}"
    command: ["run", "${shared}", "${plain}"]
    environment: ["S=${shared}", "${shared}=a", "P=${plain}", "${plain}=b"]
    labels: ["l=${shared}", "${shared}=c", "x.${plain}=d"]
    hostname: "h-${plain}"
    volumes: ["data:/data/${shared}", "data:/other/${plain}", "./site:/site/${shared}"]
    configs: [{ source: text, target: "/etc/${shared}" }]
    tmpfs: ["/tmp/${shared}"]
volumes: { data: { name: "v-${plain}" } }
configs: { text: { content: "${shared} ${plain}" } }
`

test('values of secrets and variables never reach a plan, a comment or a status, wherever they stand', async () => {
  await using folder = await tempFolder('secrets')
  await writeFile(join(folder.path, 'file'), values.file)
  await writeFile(join(folder.path, 'unnamed'), values.unnamed)
  const host = (more: string) =>
    hostFile(
      `variables:\n  SHARED: { secret: "env:THE_SECRET" }\n  FILE: { secret: "file:${folder.path}/file" }\n${more}`,
    )
  await using stage = await openStage(
    {
      'desired-state/host.yaml': host(`  PLAIN: ${values.plain}\n`),
      'desired-state/services/web.yaml': serviceFile('1.0.0'),
      'compose/compose.yaml': everywhere('${SHARED}', '${PLAIN}'),
      'compose/site/index.html': 'site',
    },
    { environment: { THE_SECRET: values.shared, OTHER: values.unnamed } },
  )
  await stage.pass()
  const body = JSON.stringify(
    (await stage.host.engine.inspect((await observed(stage)).instance)).configuration,
  )
  for (const value of [values.shared, values.plain]) expect(body).toContain(value)
  const look = JSON.stringify((await stage.look()).plan)
  expect(look).not.toContain(values.shared)

  const heads: Record<string, string | null>[] = [
    { 'compose/compose.yaml': everywhere('${FILE}', '${PLAIN}') },
    { 'compose/compose.yaml': everywhere('x${SHARED}', 'y${PLAIN}') },
    {
      'desired-state/host.yaml': host(
        `  PLAIN: ${values.newPlain}\n  OWN: { secret: "env:OTHER" }\n  READ: { secret: "file:${folder.path}/unnamed" }\n`,
      ),
      'compose/compose.yaml': everywhere('${OWN}${READ}', '${PLAIN}'),
    },
    // What Compose refuses it quotes.
    {
      'desired-state/host.yaml': host(`  PLAIN: "${values.newPlain}:80x"\n`),
      'compose/compose.yaml': 'services: { web: { image: web, ports: ["${PLAIN}:80"] } }\n',
    },
    {
      'desired-state/host.yaml': host(`  PLAIN: ${values.newPlain}\n`),
      'compose/compose.yaml':
        'services: { web: { image: web, mem_limit: "${PLAIN}", volumes: ["./${PLAIN}:/a"] } }\n',
    },
    { 'desired-state/host.yaml': host(`  PLAIN: [${values.newPlain}]\n`) },
    {
      'desired-state/host.yaml': host(`  PLAIN: ${values.plain}\nfaulty-${values.plain}: 1\n`),
    },
    // Compose takes a stand-in and refuses the real value.
    {
      'desired-state/host.yaml': host(`  PLAIN: ${values.plain}\n`),
      'compose/compose.yaml': 'services: { web: { image: web, volumes: ["./site/${SHARED}:/a"] } }\n',
      'compose/site/secret-SHARED/a': 'x',
    },
  ]
  for (const files of heads) {
    await stage.offer(files)
    const { text, plan } = await toldOf(stage)
    for (const value of Object.values(values)) expect(text).not.toContain(value)
    expect(text).not.toContain('80x')
    expect(plan.findings.length + plan.changes.length).toBeGreaterThan(0)
  }
})

const observed = async (stage: Stage) => {
  const [web] = await stage.host.engine.observe('site')
  if (web === undefined) throw new Error('nothing runs')
  return web
}

const variables = 'variables: { SHARED: { secret: "env:THE_SECRET" } }\n'
const withSecret = (text: string) => `services: { web: { image: web, environment: { A: "${text}" } } }\n`

test('a change that waits already is told without the secrets that names of its fields are made of', async () => {
  await using stage = await openStage(
    {
      'desired-state/host.yaml': hostFile(variables),
      'desired-state/services/web.yaml': serviceFile('1.0.0'),
      'compose/compose.yaml': withSecret('${SHARED}'),
    },
    { environment: { THE_SECRET: values.shared } },
  )
  await stage.pass()
  stage.journal.pause('web', Date.now())
  const labelled = 'services: { web: { image: web, labels: ["x.${SHARED}=1"] } }\n'
  await stage.commit({ 'compose/compose.yaml': labelled })
  await stage.pass()
  for (const files of [
    { 'README.md': 'hello\n' },
    { 'compose/compose.yaml': labelled.replace('image: web', 'image: web, hostname: h') },
  ]) {
    await stage.offer(files)
    const { plan, text } = await toldOf(stage)
    expect(plan.changes[0]?.fields).toEqual(expect.arrayContaining(['environment.A', 'labels']))
    expect(text).not.toContain(values.shared)
  }
})

test('a secret cannot be guessed by writing it down: right and wrong guesses are told alike', async () => {
  await using stage = await openStage(
    {
      'desired-state/host.yaml': hostFile(variables),
      'desired-state/services/web.yaml': serviceFile('1.0.0'),
      'compose/compose.yaml': withSecret('${SHARED}'),
    },
    { environment: { THE_SECRET: 'hunter2' } },
  )
  await stage.pass()
  const outlook = await stage.look()
  const tell = async (files: Record<string, string>) => {
    await stage.offer(files)
    const plan = await stage.plan({ outlook })
    const { state, description } = planStatus(plan)
    // All that anybody can read of it; the fingerprint and the keyed hash stay in the journal.
    const comment = planComment({ ...plan, head: '', at: 0 }, { hostName: 'host', now: 0 })
    return JSON.stringify([comment, state, description])
  }
  const guesses = ['hunter1', 'hunter2', 'hunter3']
  const literal = []
  const named = []
  const beside = []
  for (const guess of guesses) {
    literal.push(await tell({ 'compose/compose.yaml': withSecret(guess) }))
    named.push(
      await tell({
        'compose/compose.yaml': `services: { web: { image: web, environment: ["\${SHARED}=x", "${guess}=x"] } }\n`,
      }),
    )
    beside.push(
      await tell({
        'compose/compose.yaml': withSecret('${SHARED}').replace('web } }', 'web }'),
        'desired-state/services/web.yaml': serviceFile('1.0.0').replace('1.0.0', guess),
      }),
    )
  }
  for (const told of [literal, named, beside]) {
    const alike = told.map((text, at) => text.replaceAll(guesses[at] ?? '', 'GUESS'))
    expect(new Set(alike).size).toBe(1)
  }
})

test('whoever writes what stands for a secret in place of it is seen', async () => {
  await using stage = await openStage(
    {
      'desired-state/host.yaml': hostFile(variables),
      'desired-state/services/web.yaml': serviceFile('1.0.0'),
      'compose/compose.yaml': withSecret('${SHARED}'),
    },
    { environment: { THE_SECRET: 'hunter2' } },
  )
  await stage.pass()
  // What a finding shows of it is no help for the next commit.
  await stage.offer({
    'compose/compose.yaml': 'services: { web: { image: web, volumes: ["./${SHARED}:/a"] } }\n',
  })
  const [finding] = (await stage.plan()).findings
  expect(finding?.message).toContain('secret-SHARED: it is not in the repository')
  await stage.offer({ 'compose/compose.yaml': withSecret('secret-SHARED') })
  expect((await stage.plan()).changes).toMatchObject([{ fields: ['environment.A'] }])
})

test('a secret of the commit in force is compared by its reference, and the merge does what was told', async () => {
  await using stage = await openStage(
    {
      'desired-state/host.yaml': hostFile(variables),
      'desired-state/services/web.yaml': serviceFile('1.0.0'),
      'compose/compose.yaml': withSecret('${SHARED}'),
    },
    { environment: { THE_SECRET: 'hunter2', OTHER: 'other' } },
  )
  await stage.pass()
  await stage.offer({ 'compose/compose.yaml': withSecret('and ${SHARED}') })
  const plan = await stage.plan()
  expect(plan.changes).toMatchObject([{ fields: ['environment.A'], newSecrets: [] }])
  expect(plan.changes[0]?.configuration).not.toBeNull()
  await stage.merge()
  const { considered } = await stage.look()
  expect(considered === undefined ? '' : fingerprintOfPlan(considered)).toBe(plan.fingerprint)
})

test('a new secret, or one from another place, is not read: what needs it cannot be compared before the merge', async () => {
  await using stage = await openStage(
    {
      'desired-state/host.yaml': hostFile(variables),
      'desired-state/services/web.yaml': serviceFile('1.0.0'),
      'compose/compose.yaml': withSecret('${SHARED}'),
    },
    { environment: { THE_SECRET: 'hunter2', OTHER: 'other-value' } },
  )
  await stage.pass()
  const asked: string[] = []
  const { settings } = stage.parts
  stage.parts.settings = {
    ...settings,
    lookup: (name) => {
      asked.push(name)
      return settings.lookup(name)
    },
  }
  const outlook = await stage.look()
  asked.length = 0
  await stage.offer({ 'desired-state/host.yaml': hostFile(variables.replace('THE_SECRET', 'OTHER')) })
  const plan = await stage.plan({ outlook })
  expect(asked).not.toContain('OTHER')
  expect(plan.variables.changed).toEqual(['SHARED'])
  expect(plan.changes).toMatchObject([
    { action: 'replace', newSecrets: ['SHARED'], configuration: null, fields: ['environment.A'] },
  ])
  await stage.merge()
  const { considered } = await stage.look()
  expect(isAsTold(plan.fingerprint, considered === undefined ? '' : fingerprintOfPlan(considered))).toBe(true)
})
