import { expect, test } from 'vitest'
import { versionIn } from '../../reconciler/pull-requests/version-in-file.ts'
import { digestOf } from './gitea-stage.ts'

const a = digestOf('a')
test.each([
  ['tag: 1.0.0', { image: null, tag: '1.0.0', digest: null }],
  [
    `# why\nimage: docker.io/library/nginx\ntag: "1.0.0" # now\ndigest: '${a}'\n`,
    { image: 'docker.io/library/nginx', tag: '1.0.0', digest: a },
  ],
  ['tag: 18.10', { image: null, tag: '18.10', digest: null }],
  ['tag: 18', { image: null, tag: '18', digest: null }],
  [`\uFEFFtag: v1\r\ndigest: ${a}\r\n`, { image: null, tag: 'v1', digest: a }],
  [`{ tag: v1, digest: ${a} }`, { image: null, tag: 'v1', digest: a }],
  ['tag: v1\ndigest:\n', { image: null, tag: 'v1', digest: null }],
])('%j says %j, as it is written', (text, said) => {
  expect(versionIn(text)).toEqual(said)
})

test.each([
  '',
  '# nothing',
  'image: x',
  'tag: [1]',
  'tag: true',
  'tag: [',
  '- tag: 1',
  'just text',
  'tag: 1\ntag: 2',
])('%j says nothing that can be relied on', (text) => {
  expect(versionIn(text)).toBe(null)
})
