import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { run } from './process.ts'
import { type TempFolder, tempFolder } from './temp-folder.ts'

/** Each rule that we rely on is broken on purpose in a copy of the tree, and oxlint must say so. */
const root = resolve(import.meta.dirname, '../..')
const pure = 'plan/ and compose/ are pure'
const arrows = 'Arrows go one way'
const environment = 'Only reconciler/settings.ts reads the environment'

async function lint(files: Record<string, string>): Promise<string> {
  await using folder = await copyOfTheRules()
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder.path, path)), { recursive: true })
    await writeFile(join(folder.path, path), content)
  }
  const oxlint = join(root, 'node_modules/.bin/oxlint')
  const { stdout, stderr } = await run(oxlint, ['--type-aware', '--format=json'], { cwd: folder.path })
  if (!stdout.startsWith('{')) throw new Error(`oxlint did not run: ${stdout}${stderr}`)
  const { diagnostics } = JSON.parse(stdout) as {
    diagnostics: { code?: string; message: string; help?: string; filename: string }[]
  }
  return diagnostics.map((one) => `${one.filename}: ${one.code}: ${one.message} ${one.help ?? ''}`).join('\n')
}

async function copyOfTheRules(): Promise<TempFolder> {
  const folder = await tempFolder('lint')
  for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) {
    await cp(join(root, file), join(folder.path, file))
  }
  await symlink(join(root, 'node_modules'), join(folder.path, 'node_modules'))
  await mkdir(join(folder.path, 'reconciler/engine'), { recursive: true })
  await writeFile(
    join(folder.path, 'reconciler/engine/engine.ts'),
    'export type Engine = { close(): void }\nexport const labels = {}\n',
  )
  return folder
}

const lines = (count: number) =>
  Array.from({ length: count }, (_, index) => `export const line${index} = ${index}`).join('\n')

describe('lint refuses', () => {
  test.each<[what: string, path: string, code: string, says: string]>([
    [
      'a promise nobody waits for',
      'reconciler/x.ts',
      "import { rm } from 'node:fs/promises'\nexport function go() {\n  rm('x')\n}\n",
      'no-floating-promises',
    ],
    [
      'an async callback where none is awaited',
      'reconciler/x.ts',
      'export const go = (list: number[]) => list.forEach(async () => {})\n',
      'no-misused-promises',
    ],
    [
      'a forgotten case',
      'reconciler/x.ts',
      "export function go(word: 'applied' | 'stuck') {\n  switch (word) {\n    case 'applied':\n      return 1\n  }\n  return 2\n}\n",
      'switch-exhaustiveness-check',
    ],
    ['a file of the reconciler with 301 lines', 'reconciler/x.ts', lines(301), 'max-lines'],
    ['a test with 501 lines', 'test/x.test.ts', lines(501), 'max-lines'],
    [
      'node:fs/promises in plan/',
      'reconciler/plan/x.ts',
      "import { rm } from 'node:fs/promises'\nexport const go = rm\n",
      pure,
    ],
    [
      'node:crypto in compose/',
      'reconciler/compose/x.ts',
      "import { randomUUID } from 'node:crypto'\nexport const go = randomUUID\n",
      pure,
    ],
    [
      'fs without its prefix in plan/',
      'reconciler/plan/x.ts',
      "import { rmSync } from 'fs'\nexport const go = rmSync\n",
      pure,
    ],
    [
      'dockerode in plan/',
      'reconciler/plan/x.ts',
      "import Docker from 'dockerode'\nexport const go = Docker\n",
      pure,
    ],
    [
      'simple-git in compose/',
      'reconciler/compose/x.ts',
      "import { simpleGit } from 'simple-git'\nexport const go = simpleGit\n",
      pure,
    ],
    [
      'fastify in plan/',
      'reconciler/plan/x.ts',
      "import fastify from 'fastify'\nexport const go = fastify\n",
      pure,
    ],
    [
      'a value of engine/ in plan/',
      'reconciler/plan/x.ts',
      "import { labels } from '../engine/engine.ts'\nexport const go = labels\n",
      pure,
    ],
    [
      'a value of git/ in plan/',
      'reconciler/plan/x.ts',
      "import { fetched } from '../git/checkout.ts'\nexport const go = fetched\n",
      pure,
    ],
    ['process in plan/', 'reconciler/plan/x.ts', 'export const go = () => process.cwd()\n', pure],
    [
      'fetch in compose/',
      'reconciler/compose/x.ts',
      "export const go = () => fetch('http://127.0.0.1')\n",
      pure,
    ],
    [
      'the environment outside of settings.ts',
      'reconciler/rollout.ts',
      "export const go = () => process.env['HOME']\n",
      environment,
    ],
    [
      'the environment by import',
      'reconciler/rollout.ts',
      "import { env } from 'node:process'\nexport const go = env\n",
      environment,
    ],
    [
      'loop imported by rollout',
      'reconciler/rollout.ts',
      "import { loop } from './loop.ts'\nexport const go = loop\n",
      arrows,
    ],
    [
      'main imported from a folder',
      'reconciler/engine/x.ts',
      "import { main } from '../main.ts'\nexport const go = main\n",
      arrows,
    ],
    [
      'http imported by health',
      'reconciler/health/x.ts',
      "import { serve } from '../http/server.ts'\nexport const go = serve\n",
      arrows,
    ],
    [
      'http imported by reconcile',
      'reconciler/reconcile.ts',
      "import { serve } from './http/server.ts'\nexport const go = serve\n",
      arrows,
    ],
  ])('%s', async (_, path, code, says) => {
    expect(await lint({ [path]: code })).toContain(says)
  })

  test('two files that import each other', async () => {
    const found = await lint({
      'reconciler/a.ts': "import { b } from './b.ts'\nexport const a = () => b\n",
      'reconciler/b.ts': "import { a } from './a.ts'\nexport const b = () => a\n",
    })
    expect(found).toContain('no-cycle')
  })
})

test('lint allows what the rules leave open: types of engine/ in plan/, the environment in settings.ts, loop in main', async () => {
  const found = await lint({
    'reconciler/plan/x.ts':
      "import type { Engine } from '../engine/engine.ts'\nexport const go = (engine: Engine) => engine\n",
    'reconciler/settings.ts': "export const go = () => process.env['HOME']\n",
    'reconciler/loop.ts': 'export const loop = 1\n',
    'reconciler/http/server.ts': "import { sign } from './signature.ts'\nexport const serve = sign\n",
    'reconciler/http/signature.ts': 'export const sign = 1\n',
    'reconciler/main.ts':
      "import { serve } from './http/server.ts'\nimport { loop } from './loop.ts'\nexport const main = [loop, serve]\n",
    'reconciler/cli.ts': "import { main } from './main.ts'\nexport const cli = main\n",
    'test/x.test.ts': lines(499),
    'reconciler/y.ts': `${lines(299)}\n${'// a comment\n'.repeat(30)}`,
  })
  expect(found.trim()).toBe('')
})
