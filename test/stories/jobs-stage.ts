import type { Job } from '../../reconciler/desired-state.ts'
import { type ImageReference, samovarLabels } from '../../reconciler/engine/engine.ts'
import type { PretendProgram } from '../../reconciler/engine/pretend-containers.ts'
import type { NewOperation, Operation } from '../../reconciler/journal/operation.ts'
import { type JobBody, runJob } from '../../reconciler/rollout/run-job.ts'
import type { Work } from '../../reconciler/rollout/step.ts'
import { resume } from '../../reconciler/rollout.ts'
import { health, type Stage } from './stage.ts'

export const volume = 'story_certificates'

/** What the program of a job does; `never` is one that goes on until it is stopped. */
export const programs = {
  renews: ({ volumes }) => {
    volumes['/certificates']?.set('live/cert.pem', { content: 'new' })
    return { exitCode: 0, output: 'renewed\n' }
  },
  nothing: () => ({ exitCode: 0, output: 'not yet due\n' }),
  fails: () => ({ exitCode: 1, output: 'asking\n', errors: 'the server says no, token hunter2\n' }),
  never: () => new Promise<never>(() => {}),
} satisfies Record<string, PretendProgram>

export type JobWish = Partial<Omit<Job, 'afterwards'>> & {
  afterwards?: Partial<Job['afterwards']>
  body?: Partial<JobBody>
}

/** A certbot that does what its command says. */
export const certbot = (stage: Stage): ImageReference => stage.publish('certbot', '3.0.0', { programs })

/** A job as an operation to begin, and how its container is made. */
export function jobOrder(stage: Stage, command: keyof typeof programs, wish: JobWish = {}) {
  const image = certbot(stage)
  const reference = `${image.name}:${image.tag}@${image.digest}`
  const { reload = ['web'], restart = [], ifChanged = null } = wish.afterwards ?? {}
  const wanted: NewOperation = {
    service: 'certbot',
    kind: 'job',
    commit: 'c'.repeat(40),
    from: null,
    to: image,
    intent: {
      members: [],
      quiesced: [],
      health,
      oldHealth: null,
      configuration: '',
      reasons: [],
      drift: false,
      ownerHealth: Object.fromEntries([...reload, ...restart].map((service) => [service, health])),
      job: {
        name: 'renew',
        byHand: false,
        timeout: wish.timeout ?? 30 * 60_000,
        reload,
        restart,
        watched: ifChanged === null ? null : { ...ifChanged, volumeName: volume, before: null },
        imageId: null,
        exitCode: null,
        cutShort: false,
      },
    },
  }
  const body: JobBody = {
    name: 'story-certbot-run',
    networks: [],
    volumes: [{ name: volume, external: false, labels: {} }],
    image,
    problem: null,
    remark: null,
    needs: [],
    touches: ['certbot', 'web'],
    of: async (_imageId, slug) => ({
      Image: reference,
      Cmd: [command],
      Labels: {
        'com.docker.compose.project': 'story',
        'com.docker.compose.service': 'certbot',
        'com.docker.compose.oneoff': 'True',
        'com.docker.compose.slug': slug,
        [samovarLabels.image]: reference,
      },
      HostConfig: {
        RestartPolicy: { Name: 'no' },
        Mounts: [{ Type: 'volume', Source: volume, Target: '/certificates' }],
      },
    }),
    ...wish.body,
  }
  return { wanted, body }
}

/** Runs it and lets the pretend time pass. */
export function runStory(
  stage: Stage,
  command: keyof typeof programs,
  wish: JobWish = {},
  other: Partial<Work> = {},
): Promise<Operation> {
  const { wanted, body } = jobOrder(stage, command, wish)
  return stage.clock.runOut(runJob(stage.work(other), wanted, body))
}

/** As the next process finds it: read from the journal. */
export function resumeStory(stage: Stage, other: Partial<Work> = {}): Promise<Operation> {
  const [operation] = stage.journal.unfinished()
  if (operation === undefined) throw new Error('nothing is unfinished')
  return stage.clock.runOut(resume(stage.work(other), operation))
}
