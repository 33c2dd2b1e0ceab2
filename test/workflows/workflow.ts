import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { type Finished, run } from '../rig/process.ts'

export type Step = {
  name?: string
  uses?: string
  run?: string
  if?: string
  shell?: string
  env?: Record<string, string>
}
export type Job = { 'runs-on': string; steps: Step[]; env?: Record<string, string> }
export type Workflow = { name: string; on: Record<string, unknown>; jobs: Record<string, Job> }

export const workflowFolder = '.gitea/workflows'

export const readWorkflow = (file: string): Workflow =>
  parse(readFileSync(`${workflowFolder}/${file}`, 'utf8')) as Workflow

/** What a runner knows of one job: the default variables, and what `${{ ... }}` stands for. */
export type RunnerJob = {
  folder: string
  environment: Record<string, string>
  expressions: Record<string, string>
}

/**
 * Runs the steps of a job as a runner without containers does: each a script of its own, in one folder, until one fails.
 * Steps with a condition are left out. An expression that is not known is empty, as in Gitea.
 */
export async function runSteps(job: Job, on: RunnerJob): Promise<{ failed: string | null; output: string }> {
  let output = ''
  for (const step of job.steps.filter((each) => each.if === undefined)) {
    const finished = await runStep(step, job, on)
    output += finished.stdout + finished.stderr
    if (finished.exitCode !== 0) return { failed: step.name ?? '', output }
  }
  return { failed: null, output }
}

export function runStep(step: Step, job: Job, on: RunnerJob): Promise<Finished> {
  const filled = (values: Record<string, string> = {}) =>
    Object.fromEntries(
      Object.entries(values).map(([name, text]) => [
        name,
        text.replaceAll(
          /\$\{\{ *([\w.]+) *\}\}/g,
          (_, expression: string) => on.expressions[expression] ?? '',
        ),
      ]),
    )
  const env = { ...on.environment, ...filled(job.env), ...filled(step.env) }
  // As the runner starts them. Alpine's sh knows no more than POSIX: nor may the scripts that name no shell.
  const [program, ...options] =
    step.shell === 'bash' ? ['bash', '--noprofile', '--norc', '-e', '-o', 'pipefail'] : ['sh', '-e']
  return run(program ?? 'sh', [...options, '-c', step.run ?? ''], { cwd: on.folder, env, timeoutMs: 60_000 })
}
