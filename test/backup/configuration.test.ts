import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { extract } from 'tar-stream'
import { expect, test } from 'vitest'
import {
  type Configuration,
  configurationTar,
  readConfiguration,
} from '../../reconciler/backup/configuration.ts'
import { modelWith } from '../compose/model-of.ts'
import { gitIn, sourceOf } from '../git/source.ts'
import { tempFolder } from '../rig/temp-folder.ts'

/** With a dollar, a quote and a line break: the ways in which a secret may look another way once it is written. */
const secret = 'pa$$word-"of\nthe$database'

async function configured(): Promise<Configuration & AsyncDisposable> {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await tempFolder('configuration'))
  await gitIn(folder.path, 'init', '--quiet', '--initial-branch=main')
  await writeFile(join(folder.path, 'compose.yaml'), 'services: {}\n')
  await gitIn(folder.path, 'add', '.')
  await gitIn(folder.path, 'commit', '--quiet', '-m', 'first')
  const { source, stateDir } = stack.use(await sourceOf(folder.path))
  const { commit } = await source.fetch()
  // Compose doubles each dollar in what it prints.
  const printed = secret.replaceAll('$', '$$$$')
  const model = modelWith({ environment: { PASSWORD: printed }, command: ['--password', `x${printed}x`] })
  const state = { host: { variables: { PASSWORD: { secret: 'env:PASSWORD' } } }, services: {} }
  return {
    ...{ source, stateDir, commit, model, branch: 'main', directory: 'desired-state' },
    repository: 'https://git.example.com/host.git',
    state: state as unknown as Configuration['state'],
    secrets: new Set([secret]),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('no part of a secret stands in the configuration of a backup, however it is written', async () => {
  await using configuration = await configured()
  const texts: Record<string, string> = {}
  const tar = extract()
  const whole = (await configurationTar(configuration)).pipe(tar)
  for await (const entry of whole) texts[entry.header.name] = (await buffer(entry)).toString('utf8')
  const composed = texts['./compose.json'] ?? ''
  expect(composed).toContain('"PASSWORD": "***"')
  expect(JSON.parse(composed)).toMatchObject({ services: { web: { command: ['--password', 'x***x'] } } })
  for (const word of ['word-', 'the$'])
    for (const text of Object.values(texts)) expect(text).not.toContain(word)
})

test('the repository comes back from it, with the commit and where it was', async () => {
  await using configuration = await configured()
  await using folder = await tempFolder('bundle')
  const file = join(folder.path, 'restored.bundle')
  const said = await readConfiguration(await configurationTar(configuration), async (bundle) =>
    writeFile(file, await buffer(bundle)),
  )
  const { commit } = configuration
  expect(said).toEqual({
    commit,
    branch: 'main',
    directory: 'desired-state',
    repository: configuration.repository,
  })
  await using other = await sourceOf('https://away.example.com/host.git')
  await other.source.seed(commit, file)
  expect(other.source.lastGood()).toMatchObject({ commit })
  expect((await other.source.checkout(commit)).directory).toContain(commit)
})
