import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { run } from '../rig/process.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const verbs = [
  'validate',
  'plan',
  'apply',
  'run',
  'status',
  'history',
  'show',
  'backups',
  'prune',
  'rollback',
  'retry',
  'pause',
  'resume',
  'render',
  'bootstrap',
  'notify',
  'doctor',
  'self-update',
]

const samovar = (args: string[], environment: Record<string, string> = {}) =>
  run(process.execPath, ['reconciler/cli.ts', ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    timeoutMs: 20_000,
  })

describe('the command line', () => {
  test('--version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(await samovar(['--version'])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' })
  })

  test('--help names every verb, and is what a bare call prints', async () => {
    const help = await samovar(['--help'])
    for (const verb of verbs) expect(help.stdout).toMatch(new RegExp(`^ {2}${verb} `, 'm'))
    expect((await samovar([])).stdout).toBe(help.stdout)
  })

  test.each(verbs)('%s --help tells its exit status', async (verb) => {
    const { exitCode, stdout } = await samovar([verb, '--help'])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^EXIT STATUS\n {2}0 {2,}\w/m)
  })

  test('a wrong command line is an error that says where the right one is found', async () => {
    const answers = await Promise.all([
      samovar(['aply']),
      samovar(['apply', '--nwo']),
      samovar(['show']),
      samovar(['rollback', 'a', 'b']),
    ])
    expect(answers.map((each) => each.exitCode)).toEqual([1, 1, 1, 1])
    expect(answers.map((each) => each.stdout)).toEqual(['', '', '', ''])
    expect(answers[0]?.stderr).toBe('samovar: there is no verb "aply"\nnext: samovar --help\n')
    expect(answers[1]?.stderr).toContain("Unknown option '--nwo'")
    expect(answers[1]?.stderr).toContain('next: samovar apply --help')
    expect(answers[2]?.stderr).toContain('samovar show OPERATION: 0 names were given')
  })

  test('every wrong setting is listed at once, and --json carries the error as a document', async () => {
    const { exitCode, stdout, stderr } = await samovar(['status', '--json'], {
      SAMOVAR_LISTEN: 'nine',
      LOG_LEVEL: 'loud',
    })
    expect(exitCode).toBe(1)
    for (const name of ['SAMOVAR_REPOSITORY', 'SAMOVAR_LISTEN', 'LOG_LEVEL']) expect(stderr).toContain(name)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'settings-invalid' } })
  })

  test('a state directory that cannot be used is told with what to set', async () => {
    await using folder = await tempFolder('no-state')
    writeFileSync(join(folder.path, 'a-file'), '')
    const { exitCode, stderr } = await samovar(['history'], {
      SAMOVAR_STATE_DIR: join(folder.path, 'a-file', 'state'),
    })
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/the state directory .* cannot be used: EN\w+\nnext: Set SAMOVAR_STATE_DIR/)
  })

  test('an empty journal has no history, no operation to show, and takes a pause of any name', async () => {
    await using folder = await tempFolder('empty-state')
    const environment = { SAMOVAR_STATE_DIR: folder.path }
    expect((await samovar(['history'], environment)).stdout).toBe('Nothing was done yet.\n')
    expect(JSON.parse((await samovar(['history', '--json'], environment)).stdout)).toEqual([])
    const shown = await samovar(['show', '2026'], environment)
    expect([shown.exitCode, shown.stderr]).toEqual([
      1,
      'samovar: there is no operation "2026"\nnext: `samovar history` lists them.\n',
    ])
    expect((await samovar(['pause', 'web'], environment)).stdout).toContain(
      'web is paused; `samovar resume web` ends it',
    )
    expect((await samovar(['resume', 'web'], environment)).stdout).toContain('web is not paused any more')
    expect((await samovar(['resume', 'web'], environment)).stdout).toContain('web was not paused')
  })
})
