import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hostOf, serviceOf } from '../reconciler/desired-state/policies.ts'
import type { DesiredState } from '../reconciler/desired-state.ts'
import { keepDiunImages } from '../reconciler/diun-images.ts'
import { renderDiunImages } from '../reconciler/version-bumps/render-diun.ts'
import { tempFolder } from './rig/temp-folder.ts'

const state = (tag: string): DesiredState => ({
  host: hostOf({ name: 'git.example.com', project: 'gitea', compose: [] }),
  services: { web: serviceOf('web', 'web.yaml', { image: 'docker.io/library/nginx', tag }, new Set()) },
})

test("Diun's images follow the desired state, and are left alone while it says the same", async () => {
  await using folder = await tempFolder('diun-images')
  const file = join(folder.path, 'diun/images.yml')
  keepDiunImages(folder.path, state('1.30.4'))
  expect(readFileSync(file, 'utf8')).toBe(renderDiunImages(state('1.30.4')))
  expect(statSync(file).mode & 0o777).toBe(0o644)
  utimesSync(file, 1, 1)
  keepDiunImages(folder.path, state('1.30.4'))
  expect(statSync(file).mtimeMs).toBe(1000)
  keepDiunImages(folder.path, state('1.30.6'))
  expect(readFileSync(file, 'utf8')).toContain('docker.io/library/nginx:1.30.6')
})

test('a folder for Diun that cannot be written stops nothing', async () => {
  await using folder = await tempFolder('diun-images')
  writeFileSync(join(folder.path, 'diun'), 'a file is in the way')
  expect(() => keepDiunImages(folder.path, state('1.30.4'))).not.toThrow()
})
