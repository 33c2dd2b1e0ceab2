import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SamovarError } from '../../reconciler/errors.ts'
import { secretFiles } from '../../reconciler/gitea/secret-files.ts'
import { type AdministratorWanted, administrator } from '../../reconciler/up/administrator.ts'
import { giteaCommand } from '../rig/pretend-gitea/commands.ts'
import { newWorld, type World } from '../rig/pretend-gitea/world.ts'
import { tempFolder } from '../rig/temp-folder.ts'

class Cut extends Error {}

/** A Gitea by its commands, a journal and files; `cut` is where the process dies. */
function stage(folder: string, world: World = newWorld('1.27.1', folder, '')) {
  const notes = new Map<string, string>()
  const asked: string[][] = []
  const state = { cut: '' as '' | 'after create' | 'before create' | 'after file' }
  const wanted: AdministratorWanted = {
    instance: 'gitea-1',
    login: 'operator',
    mailHost: 'git.example.com',
    passwordFile: join(folder, 'password'),
    given: null,
    isSwitched: false,
  }
  const run = (more: Partial<AdministratorWanted> = {}) =>
    administrator(
      {
        engine: {
          run: (_, [, , script = '', , ...words]) => {
            expect(script).toContain('su-exec')
            asked.push(words)
            const isCreate = words[2] === 'create'
            if (isCreate && state.cut === 'before create') throw new Cut()
            const { exitCode, stdout, stderr } = giteaCommand(world, words)
            if (isCreate && state.cut === 'after create') throw new Cut()
            return Promise.resolve({ exitCode, output: stdout + stderr })
          },
        },
        journal: {
          note: (name) => notes.get(name) ?? null,
          writeNote: (name, text) => void notes.set(name, text),
        },
        files: {
          read: (path) => secretFiles.read(path),
          write(path, secret) {
            secretFiles.write(path, secret)
            if (state.cut === 'after file') throw new Cut()
          },
        },
        connect: ({ user, password }) => ({
          currentUser: () => {
            const found = world.accounts.find((each) => each.login === user && each.password === password)
            if (found === undefined) throw new SamovarError('forge-unreachable', 'refused')
            return Promise.resolve(found)
          },
        }),
      },
      { ...wanted, ...more },
    )
  const works = (as: { user: string; password: string } | null) =>
    world.accounts.some(
      (each) =>
        each.login === as?.user && each.password === as.password && each.admin && !each.mustChangePassword,
    )
  return { world, asked, state, run, works, wanted, notes }
}

test('a new Gitea gets an administrator who can be used at once; its password is in one file and in no argument', async () => {
  await using folder = await tempFolder('administrator')
  const { world, asked, run, works } = stage(folder.path)
  const { administrator: made, step } = await run()
  expect(made?.user).toBe('operator')
  expect(works(made)).toBe(true)
  expect(secretFiles.read(join(folder.path, 'password'))).toBe(made?.password)
  expect(step.result).toBe('done')
  expect(JSON.stringify([asked, step])).not.toContain(made?.password)
  const again = await run()
  expect(again).toMatchObject({ administrator: made, step: { result: 'ok' } })
  expect(world.accounts).toHaveLength(1)
})

test.each(['before create', 'after create', 'after file'] as const)(
  'killed %s, the next run has an administrator whose password is known, and no other account',
  async (cut) => {
    await using folder = await tempFolder('administrator')
    const { world, state, run, works } = stage(folder.path)
    state.cut = cut
    await expect(run()).rejects.toBeInstanceOf(Cut)
    state.cut = ''
    const { administrator: made } = await run()
    expect(works(made)).toBe(true)
    expect(world.accounts.map((each) => each.login)).toEqual([made?.user])
    const again = await run()
    expect(again.step.result).toBe('ok')
  },
)

test('a Gitea with an administrator of its own gets no other one: the password has to be named', async () => {
  await using folder = await tempFolder('administrator')
  const { world, run } = stage(folder.path)
  giteaCommand(world, [
    'admin',
    'user',
    'create',
    '--admin',
    '--username',
    'alice',
    '--email',
    'a@b.c',
    '--password',
    'x',
  ])
  await expect(run()).rejects.toMatchObject({
    code: 'settings-invalid',
    message: expect.stringContaining('administrator alice'),
    next: expect.stringContaining('SAMOVAR_GITEA_ADMIN_USER'),
  })
  expect(world.accounts).toHaveLength(1)
  const given = { user: 'alice', password: 'x' }
  expect(await run({ given })).toMatchObject({ administrator: given, step: { result: 'ok' } })
})

test('a password that was taken away after all was set up is not missed, and before that it is', async () => {
  await using folder = await tempFolder('administrator')
  const { run, wanted, world } = stage(folder.path)
  await run()
  const emptied = { passwordFile: `${wanted.passwordFile}-gone` }
  await expect(run(emptied)).rejects.toThrow('is gone')
  expect(await run({ ...emptied, isSwitched: true })).toMatchObject({
    administrator: null,
    step: { result: 'ok' },
  })
  expect(world.accounts).toHaveLength(1)
})
