import { expect, test } from 'vitest'
import { repositoryInForge } from '../../reconciler/gitea/forge-address.ts'

const giteaUrl = 'https://git.example.com/'
const read = (repository: string, giteaRepository: string | null = null) =>
  repositoryInForge({ giteaUrl, giteaRepository, repository })

test('without an address of Gitea there is no forge', () => {
  const repository = 'https://git.example.com/ops/host.git'
  expect(repositoryInForge({ giteaUrl: null, giteaRepository: 'ops/host', repository })).toBeNull()
})

test.each([
  'https://git.example.com/ops/host',
  'https://git.example.com/ops/host.git',
  'https://git.example.com/ops/host.git/',
  'https://bot:secret@git.example.com:3000/ops/host.git',
  'http://gitea:3000/below/a/path/ops/host.git',
  'ssh://git@git.example.com:2222/ops/host.git',
  'git@git.example.com:ops/host.git',
  'git@git.example.com:/ops/host',
  'git.example.com:ops/host.git',
])('the repository is at the end of %s', (repository) => {
  expect(read(repository)).toEqual({ url: 'https://git.example.com', fullName: 'ops/host' })
})

test('the setting counts more than the address', () => {
  expect(read('/srv/mirror.git', 'ops/host')).toMatchObject({ fullName: 'ops/host' })
  expect(read('https://git.example.com/a/b', 'ops/host')).toMatchObject({ fullName: 'ops/host' })
})

test.each([
  '/srv/ops/host.git',
  'file:///srv/ops/host.git',
  '.',
  'host.git',
  'https://git.example.com/host.git',
  'https://git.example.com',
  'https://git.example.com/ops/ho%20st',
  'ext::ops/host',
])('%s does not say it, which is a problem that names the setting', (repository) => {
  expect(read(repository)).toEqual({
    problem: expect.stringContaining('set SAMOVAR_GITEA_REPOSITORY to OWNER/NAME'),
  })
})
