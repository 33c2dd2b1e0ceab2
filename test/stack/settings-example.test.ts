import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readSettings } from '../../reconciler/settings.ts'

const example = readFileSync('.env.example', 'utf8')
const settings = example.split('\n').flatMap((line) => {
  const [, name, value] = /^#?([A-Z][A-Z0-9_]*)=(.*)$/.exec(line) ?? []
  return name === undefined ? [] : [{ name, value: value ?? '', isSet: !line.startsWith('#') }]
})
const named = new Set(settings.map(({ name }) => name.replace(/_FILE$/, '')))

const sources = readdirSync('reconciler', { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)
const code = sources.map((file) => readFileSync(`reconciler/${file}`, 'utf8')).join('\n')
const read = new Set(
  [
    ...code.matchAll(
      /['"`]((?:SAMOVAR|SMTP|AWS)_[A-Z0-9_]+|LOG_LEVEL|NO_COLOR|DOCKER_HOST|DOCKER_CONFIG)['"`]/g,
    ),
  ].map(([, name]) => (name ?? '').replace(/_FILE$/, '')),
)
/** Marks of processes that Samovar starts itself. */
const internal = ['SAMOVAR_GIT_RUN']
/** Read by the AWS SDK and by Node. */
const foreign = ['AWS_REGION', 'NODE_EXTRA_CA_CERTS', 'NODE_USE_ENV_PROXY', 'HTTPS_PROXY', 'NO_PROXY']

test('.env.example names every setting that Samovar reads', () => {
  expect(read.size).toBeGreaterThan(20)
  expect([...read].filter((name) => !named.has(name) && !internal.includes(name))).toEqual([])
})

test('.env.example names no setting that nobody reads, and none twice', () => {
  expect([...named].filter((name) => !read.has(name) && !foreign.includes(name))).toEqual([])
  expect(settings.map(({ name }) => name)).toHaveLength(new Set(settings.map(({ name }) => name)).size)
})

test('what is set in .env.example is a whole environment, and what is shown as a default is one', () => {
  const environment = (all: boolean) =>
    Object.fromEntries(
      settings
        .filter(({ name, isSet }) => isSet || (all && !name.startsWith('SAMOVAR_GITEA_ADMIN')))
        .filter(({ name }) => !name.endsWith('_FILE') && !/SMTP|SES/.test(name))
        .map(({ name, value }) => [name, value]),
    )
  const bare = readSettings({ repository: true }, environment(false))
  const whole = readSettings({ repository: true }, environment(true))
  for (const key of [
    'branch',
    'directory',
    'stateDir',
    'holdDir',
    'secretsDir',
    'storeTimeoutMs',
    'logLevel',
  ] as const)
    expect(whole[key]).toBe(bare[key])
  expect(whole.ownService).toEqual(bare.ownService)
})

test('.env.example holds no secret', () => {
  for (const { name, value } of settings)
    if (/(KEY|TOKEN|SECRET|PASSWORD|SMTP_URL)$/.test(name)) expect(value).toBe('')
})

test('with what is set in .env.example alone every verb can start: no file is named that is made later', () => {
  const set = Object.fromEntries(
    settings.filter(({ isSet }) => isSet).map(({ name, value }) => [name, value]),
  )
  expect(readSettings({ repository: true }, set).repository).toBe(set['SAMOVAR_REPOSITORY'])
})
