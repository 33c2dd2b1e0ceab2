import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { validateContext } from '../../reconciler/gitea/protection.ts'
import { readWorkflow, workflowFolder } from './workflow.ts'

describe.each(readdirSync(workflowFolder))('the workflow %s', (file) => {
  const workflow = readWorkflow(file)
  const jobs = Object.values(workflow.jobs)

  test('takes nothing from another server by `uses:`', () => {
    expect(jobs.flatMap((job) => job.steps).filter((step) => step.uses !== undefined)).toEqual([])
    expect(readFileSync(`${workflowFolder}/${file}`, 'utf8')).not.toMatch(/https?:\/\//)
  })

  test('runs for every push and every pull request: no filter can leave a required status out', () => {
    expect(workflow.on).toEqual({ push: null, pull_request: null })
    // A job whose condition is false sends `skipped`, or in older versions nothing.
    for (const job of jobs) expect(Object.keys(job)).not.toContain('if')
  })

  test('hands secrets to scripts by their environment only', () => {
    for (const step of jobs.flatMap((job) => job.steps)) expect(step.run).not.toContain('${{')
  })
})

test('the status of validate.yaml is the one that branch protection requires', () => {
  const { name, on, jobs } = readWorkflow('validate.yaml')
  const contexts = Object.keys(jobs).flatMap((job) =>
    Object.keys(on).map((event) => `${name} / ${job} (${event})`),
  )
  expect(contexts).toContain(validateContext)
})

describe('the runner of compose/runner', () => {
  const compose = parse(readFileSync('compose/runner/compose.yaml', 'utf8')) as {
    services: { runner: { environment: Record<string, string>; volumes: string[] } }
  }
  const dockerfile = readFileSync('compose/runner/Dockerfile', 'utf8')

  test('takes the jobs of validate.yaml, inside of its own container', () => {
    const label = readWorkflow('validate.yaml').jobs['validate']?.['runs-on']
    expect(compose.services.runner.environment['GITEA_RUNNER_LABELS']).toBe(`${label}:host`)
  })

  test('does not get the Docker socket, and its token by a file', () => {
    expect(JSON.stringify(compose)).not.toContain('docker.sock')
    const names = Object.keys(compose.services.runner.environment)
    expect(names.filter((name) => name.includes('TOKEN'))).toEqual(['GITEA_RUNNER_REGISTRATION_TOKEN_FILE'])
  })

  test('is built on images of a version that is named, with the Node of package.json', () => {
    const images = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image)
    const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      devDependencies: { node: string }
    }
    expect(images).toContain(`docker.io/library/node:${devDependencies.node}-alpine`)
    for (const image of images) expect(image).toMatch(/^[\w-]+$|:\d/)
  })
})
