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

describe('the runners of the stack', () => {
  const { services } = parse(readFileSync('compose/compose.yaml', 'utf8'), { merge: true }) as {
    services: Record<string, { environment: Record<string, string> }>
  }
  const runners = ['runner-1', 'runner-2'].map((name) => services[name] ?? { environment: {} })

  test('take the jobs of validate.yaml, inside of their own containers', () => {
    const label = readWorkflow('validate.yaml').jobs['validate']?.['runs-on']
    for (const { environment } of runners) expect(environment['GITEA_RUNNER_LABELS']).toBe(`${label}:host`)
  })

  test('do not get the Docker socket, and their token by a file', () => {
    expect(JSON.stringify(runners)).not.toContain('docker.sock')
    for (const { environment } of runners)
      expect(Object.keys(environment).filter((name) => name.includes('TOKEN'))).toEqual([
        'GITEA_RUNNER_REGISTRATION_TOKEN_FILE',
      ])
  })

  test('have the Node that Samovar is made for', () => {
    const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      devDependencies: { node: string }
    }
    const { tag, update } = parse(readFileSync('desired-state/services/runner-node.yaml', 'utf8')) as {
      tag: string
      update: { tags: string }
    }
    const major = devDependencies.node.split('.')[0] ?? ''
    expect(tag).toMatch(new RegExp(`^${major}\\.`))
    expect(update.tags).toMatch(new RegExp(`^\\^${major}\\\\\\.`))
  })
})
