import { openSource, type Source, type SourceSettings } from '../../reconciler/git/checkout.ts'
import { mustRun } from '../rig/process.ts'
import { tempFolder } from '../rig/temp-folder.ts'

export type TestSource = {
  source: Source
  stateDir: string
  reopen(more?: Partial<SourceSettings>): Source
} & AsyncDisposable

/** A source with a state directory of its own. */
export async function sourceOf(repository: string, more: Partial<SourceSettings> = {}): Promise<TestSource> {
  const state = await tempFolder('git-state')
  const open = (again: Partial<SourceSettings> = {}) =>
    openSource({
      repository,
      branch: 'main',
      stateDir: state.path,
      timeoutMs: 15_000,
      environment: process.env,
      ...more,
      ...again,
    })
  return {
    source: open(),
    stateDir: state.path,
    reopen: open,
    [Symbol.asyncDispose]: () => state[Symbol.asyncDispose](),
  }
}

const quietGit = {
  ...process.env,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.com',
}

/** Git in a folder, as a person with a name and without settings of their own; answers what it printed. */
export async function gitIn(folder: string, ...words: string[]): Promise<string> {
  return (await mustRun('git', ['-C', folder, ...words], { env: quietGit })).trim()
}
