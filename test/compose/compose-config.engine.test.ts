import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type ComposeCommand,
  ComposeFindings,
  findCompose,
  readComposeModel,
} from '../../reconciler/compose-config.ts'
import { findingLine } from '../../reconciler/desired-state.ts'
import { type TempFolder, tempFolder } from '../rig/temp-folder.ts'

let compose: ComposeCommand
let folder: TempFolder
let directory: string

beforeAll(async () => {
  compose = await findCompose()
})
beforeEach(async () => {
  folder = await tempFolder('compose-config')
  directory = join(folder.path, 'checkout')
})
afterEach(() => folder[Symbol.asyncDispose]())

async function put(files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true })
    await writeFile(join(directory, path), text)
  }
}

const read = async (variables: Record<string, string> = {}) =>
  await readComposeModel(compose, { directory, files: ['compose/compose.yaml'], project: 'shop', variables })

async function findings(text: string, variables: Record<string, string> = {}): Promise<string[]> {
  await put({ 'compose/compose.yaml': text })
  const error: unknown = await read(variables).then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof ComposeFindings)) throw new Error(`expected findings, not ${String(error)}`)
  return error.findings.map(findingLine)
}

test('a model has the variables of host.yaml in it and nothing of this process', async () => {
  process.env['SAMOVAR_TEST_LEAK'] = 'leaked'
  await put({
    'compose/compose.yaml':
      'services: {web: {image: "web:${TAG}", environment: {SAMOVAR_TEST_LEAK: , A: "$$x"}, profiles: [p], secrets: [s]}}\nsecrets: {s: {environment: TAG}}\n',
    'compose/.env': 'SAMOVAR_TEST_LEAK=from-a-file\n',
  })
  const model = await read({ TAG: '1.0' })
  expect(model.services['web']).toMatchObject({
    image: 'web:1.0',
    environment: { SAMOVAR_TEST_LEAK: null, A: '$x' },
    profiles: ['p'],
  })
  expect(model.secrets).toEqual({ s: { name: 'shop_s', content: '1.0' } })
})

test('byte order marks, anchors, merge keys, extension keys and Unicode are fine, also in files that are included', async () => {
  await put({
    'compose/compose.yaml':
      '\uFEFFx-base: &base\r\n  image: web:1\r\nservices:\r\n  web: {<<: *base, labels: {name: "Säule ☕"}}\r\n  ext: {extends: {file: base.yaml, service: b}}\r\ninclude: [more/more.yaml]\r\n',
    'compose/base.yaml': 'services: {b: {image: base, env_file: [b.env]}}\n',
    'compose/b.env': 'X=1\n',
    'compose/more/more.yaml': 'services: {more: {image: more, volumes: ["./site:/site"]}}\n',
    'compose/more/site/index.html': 'hello',
  })
  const model = await read()
  expect(Object.keys(model.services).sort()).toEqual(['ext', 'more', 'web'])
  expect(model.services['web']?.labels).toEqual({ name: 'Säule ☕' })
  expect(model.services['ext']?.environment).toEqual({ X: '1' })
  expect(model.services['more']?.volumes?.[0]?.source).toBe(`${model.directory}/compose/more/site`)
})

describe('refused before Compose is called, with file, line and column', () => {
  beforeEach(async () => {
    await put({ 'compose/here.env': '', 'compose/site/a': '' })
    await writeFile(join(folder.path, 'outside.yaml'), 'services: {o: {image: stolen}}\n')
    await symlink('/etc/hostname', join(directory, 'compose/link'))
  })
  const service = (rest: string) => `services:\n  web:\n    image: web:1\n    ${rest}\n`
  const refused: [string, string, RegExp][] = [
    [
      'include of the network',
      'include:\n  - https://example.com/c.yaml\n',
      /^compose\/compose\.yaml:2:5: include: .*network/,
    ],
    ['include by git', 'include:\n  - git@example.com:a/b\n', /:2:5: include: .*network/],
    [
      'include outside',
      'include:\n  - path: ../../outside.yaml\n',
      /:2:11: include\.path: .*leads out of the repository/,
    ],
    [
      'include with a far project directory',
      'include:\n  - {path: here.env, project_directory: ../..}\n',
      /project_directory: .*leads out/,
    ],
    [
      'extends outside',
      service('extends: {file: ../../outside.yaml, service: o}'),
      /:4:21: services\.web\.extends\.file: .*leads out/,
    ],
    [
      'env_file outside',
      service('env_file: /etc/hostname'),
      /:4:15: services\.web\.env_file: .*leads out of the repository/,
    ],
    [
      'env_file through a link',
      service('env_file: [link]'),
      /:4:16: services\.web\.env_file: .*symbolic link/,
    ],
    [
      'env_file that is missing',
      service('env_file: none.env'),
      /:4:15: .*none\.env: it is not in the repository/,
    ],
    ['label_file outside', service('label_file: /etc/hostname'), /services\.web\.label_file: .*leads out/],
    ['build', service('build: .'), /:4:5: services\.web\.build: .*CI/],
    ['develop', service('develop: {watch: []}'), /:4:5: services\.web\.develop: /],
    ['provider', service('provider: {type: x}'), /:4:5: services\.web\.provider: /],
    [
      'a bind that is not there',
      service('volumes: ["./none:/a"]'),
      /:4:15: services\.web\.volumes: \.\/none: it is not in the repository; data lives/,
    ],
    ['a bind that leads out', service('volumes: ["../..:/a"]'), /:4:15: services\.web\.volumes: .*leads out/],
    [
      'a bind of a home folder',
      service('volumes: ["~/x:/a"]'),
      /:4:15: services\.web\.volumes: .*home folder/,
    ],
    [
      'a long bind',
      service('volumes: [{type: bind, source: ./none, target: /a}]'),
      /:4:36: services\.web\.volumes: .*not in the repo/,
    ],
    ['a bind by a link', service('volumes: ["./link:/a"]'), /:4:15: services\.web\.volumes: .*symbolic link/],
    [
      'a secret outside',
      'services: {w: {image: w}}\nsecrets:\n  s: {file: /etc/shadow}\n',
      /:3:13: secrets\.s\.file: .*leads out/,
    ],
    [
      'a secret that is no variable',
      'services: {w: {image: w}}\nsecrets:\n  s: {environment: HOME}\n',
      /:3:20: secrets\.s\.environment: .*HOME is none/,
    ],
    [
      'a config outside',
      'services: {w: {image: w}}\nconfigs:\n  c: {file: ../../outside.yaml}\n',
      /:3:13: configs\.c\.file: .*leads out/,
    ],
    [
      'a volume over a folder of the checkout',
      'services: {w: {image: w}}\nvolumes:\n  v: {driver_opts: {o: bind, device: ./site}}\n',
      /:3:38: volumes\.v\.driver_opts\.device: expected an absolute/,
    ],
    [
      'an unknown variable',
      service('command: "a ${NONE}"'),
      /:4:17: services\.web\.command: the variable NONE /,
    ],
    ['an unknown variable that demands', service('command: ${NONE:?x}'), /:4:14: .*NONE/],
    ['a hidden text', service('env_file: !!binary L2V0Yy9ob3N0bmFtZQ=='), /:4:24: yaml: the tag !!binary/],
    [
      'a key twice',
      'services: {w: {image: a, image: b}}\n',
      /^compose\/compose\.yaml:1:\d+: yaml: the key image stands here twice/,
    ],
    [
      'a second document',
      'services: {w: {image: w}}\n---\nservices: {w: {env_file: /etc/hostname}}\n',
      /:3:26: services\.w\.env_file/,
    ],
    [
      'a path that hides in an anchor',
      'x-a: &a {env_file: /etc/hostname}\nservices: {w: {<<: *a, image: w}}\n',
      /:1:20: services\.w\.env_file/,
    ],
  ]
  test.each(refused)('%s', async (_name, text, expected) => {
    const lines = await findings(text)
    expect(lines.join('\n')).toMatch(expected)
  })

  test('the files of an included file are looked at too', async () => {
    await put({ 'compose/more.yaml': service('env_file: /etc/hostname') })
    expect(await findings('include: [more.yaml]\nservices: {w: {image: w}}\n')).toEqual([
      expect.stringMatching(/^compose\/more\.yaml:4:15: services\.web\.env_file: /),
    ])
  })

  test('everything is reported at once', async () => {
    expect(await findings(service('env_file: [/etc/a, /etc/b]\n    command: $X'))).toHaveLength(3)
  })
})

test('what Samovar cannot express is refused at the place where it stands', async () => {
  const text =
    'services:\n  web:\n    image: web:1\n    links: [db]\n  db:\n    image: db\n    deploy:\n      replicas: 3\n'
  expect(await findings(text)).toEqual([
    expect.stringMatching(/^compose\/compose\.yaml:4:5: services\.web\.links: /),
    expect.stringMatching(/^compose\/compose\.yaml:8:7: services\.db\.deploy\.replicas: .*not 3/),
  ])
})

test('a refusal of Compose stands at its service and never shows the value of a variable', async () => {
  const unknown = 'services:\n  db: {image: db}\n  web:\n    image: web:1\n    restarts: x\n'
  expect((await findings(unknown))[0]).toMatch(/^compose\/compose\.yaml:3:3: services\.web: .*restarts/)
  const text = 'services:\n  web:\n    image: web:1\n    ports: ["${SECRET}:80"]\n'
  const [line] = await findings(text, { SECRET: 'sesame-open', OTHER: 'a' })
  expect(line).toMatch(/\*\*\*/)
  expect(line).not.toContain('sesame-open')
})

test('a file that is nested too deeply, or that has very many keys, gets its answer in a moment', async () => {
  const deep = `x-a: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`
  expect((await findings(deep)).join()).toContain('it is nested too deeply')
  const wide = Array.from({ length: 60_000 }, (_, n) => `x-${n}: 1`).join('\n')
  expect((await findings(`${wide}\nx-7: 2\n`)).join()).toContain('the key x-7 stands here twice')
})

test('a variable cannot change what Compose does', async () => {
  const lines = await findings('services: {w: {image: w}}\n', {
    COMPOSE_FILE: '/etc/x',
    LD_PRELOAD: 'x',
    TAG: '1',
  })
  expect(lines.map((line) => line.split(': ')[1])).toEqual(['variables.COMPOSE_FILE', 'variables.LD_PRELOAD'])
})

test('aliases that would fill the memory, or that contain themselves, are refused without being expanded', async () => {
  const levels = Array.from(
    { length: 12 },
    (_, n) =>
      `x-${n}: &a${n} [${Array(10)
        .fill(n === 0 ? 'x' : `*a${n - 1}`)
        .join(', ')}]`,
  )
  expect(await findings(`${levels.join('\n')}\nservices: {w: {image: w, command: *a11}}\n`)).toEqual([
    expect.stringMatching(/yaml: its aliases stand for more than 200000 values/),
  ])
  expect(await findings('x: &x [*x]\nservices: {w: {image: w, command: *x}}\n')).toEqual([
    expect.stringMatching(/yaml: an alias stands for something that is not there or contains itself/),
  ])
})

test('the checkout is left as it was', async () => {
  await put({ 'compose/compose.yaml': 'services: {w: {image: w}}\n' })
  await read()
  expect(await readFile(join(directory, 'compose/compose.yaml'), 'utf8')).toBe('services: {w: {image: w}}\n')
})
