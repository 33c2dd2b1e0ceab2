import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ComposeModel } from '../../reconciler/compose/model.ts'
import type { Running } from '../../reconciler/engine/engine.ts'
import { pretendHost } from '../../reconciler/engine/in-memory.ts'
import { checkSecrets } from '../../reconciler/up/checks.ts'
import type { UpStep } from '../../reconciler/up/step.ts'
import { openedJournal } from '../journal/told-operations.ts'
import { tempFolder } from '../rig/temp-folder.ts'

const model = {
  project: 'gitea',
  composeVersion: '2.30.0',
  volumes: { data: { name: 'gitea_data' }, rows: { name: 'gitea_rows' } },
} as unknown as ComposeModel

async function stage() {
  const [folder, opened] = [await tempFolder('secrets'), await openedJournal('up-checks')]
  const { engine, volumes } = pretendHost()
  const at = (name: string) => join(folder.path, name)
  const variables = {
    GITEA_SECRET_KEY: { secret: `file:${at('key')}` },
    DIUN_TOKEN: { secret: `file:${at('diun')}` },
  }
  return {
    at,
    volumes,
    folder: folder.path,
    async look(current: Running[] = []): Promise<UpStep[]> {
      const steps: UpStep[] = []
      const context = { parts: { engine, journal: opened.journal }, settings: { lookup: () => undefined } }
      for await (const step of checkSecrets(context, { state: { host: { variables } }, model }, current))
        steps.push(step)
      return steps
    },
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

test('volumes that outlived their containers and the journal keep the key of their data from being made anew', async () => {
  await using at = await stage()
  at.volumes.add('gitea_data')
  at.volumes.add('of_others')
  expect(await at.look()).toEqual([
    {
      name: 'secrets',
      result: 'problem',
      said: `GITEA_SECRET_KEY: ${at.at('key')} is missing, and there is data that may have been written with it: the volume gitea_data`,
      next: expect.stringMatching(/from your copy.*docker volume rm gitea_data$/) as string,
    },
  ])
  expect(await readdir(at.folder)).toEqual([])
  // Once it was brought back, the rest is made.
  await writeFile(at.at('key'), 'from the copy')
  expect(await at.look()).toEqual([])
})

test('a machine that never held any of it has nothing in the way, volumes of others included', async () => {
  await using at = await stage()
  at.volumes.add('of_others')
  expect(await at.look()).toEqual([])
})

test('containers are no reason to remove volumes', async () => {
  await using at = await stage()
  at.volumes.add('gitea_data')
  const [step] = await at.look([{ name: 'gitea-gitea-1' } as Running])
  expect(step).toMatchObject({ result: 'problem', said: expect.stringContaining('gitea-gitea-1') as string })
  expect(step?.next).not.toContain('docker volume rm')
})
