import type { Readable } from 'node:stream'
import type { DataProgress } from '../backup/back-up.ts'
import type { OpenStore } from '../backup/open-stores.ts'
import type { StorePolicy } from '../desired-state.ts'
import type { ContainerBody, FieldDifference, NetworkBody, VolumeBody } from '../engine/container-body.ts'
import type { Engine, Inspected, PullProgress } from '../engine/engine.ts'
import { codeOf, sentenceOf } from '../errors.ts'
import type { Clock } from '../health/clock.ts'
import type { HealthProgress } from '../health/wait-until-healthy.ts'
import type { Operation } from '../journal/operation.ts'
import type { Journal } from '../journal.ts'

/** The parts a roll-out works with, handed in by the pass. */
export type Work = {
  engine: Engine
  journal: Journal
  backups: Backups
  /** The Compose project. */
  project: string
  /** Milliseconds since 1970. */
  now: () => number
  clock: Clock
  /** Checkout of the commit, for the CA files of health checks; may be gone for an old operation. */
  root: string
  /** Services that end by themselves with exit code 0. */
  endsByItself: (service: string) => boolean
  /** Fires when a newer commit changes the service that is rolled out. */
  newer: AbortSignal
  /** Fires when the process is told to end. */
  stopping: AbortSignal
  progress: Progress
  /** Takes secret values out of text that is written down or shown. */
  mask: (text: string) => string
  /** False after a crash when the commit cannot be read: then what a container wrote is not recorded. */
  secretsKnown: boolean
  /** Folder in which the proxy looks whether it has to hold requests. */
  holdDir: string
  /** The stack is brought up for the first time: see `firstHealth`. */
  isFirstStart?: boolean
}

/** Where backups go. */
export type Backups = {
  /** The stores of a policy, opened once and kept; nothing is asked of them yet. */
  open(policies: StorePolicy[]): Promise<OpenStore[]>
  /** Parts are encrypted with it, or not at all. */
  key: Buffer | null
}

/** The making of the new containers: what cannot be in the journal, since it may hold secrets. */
export type Body = {
  networks: NetworkBody[]
  volumes: VolumeBody[]
  /** Why it cannot be rolled out as it is, or null. */
  problem: string | null
  /** The configuration of the commit in force, as a tar stream. */
  configuration: () => Promise<Readable>
  /** The body of one member, when the image id and the containers whose network it may share are known. */
  of(service: string, imageId: string, containers: Record<string, string>): Promise<ContainerBody>
  /** What the engine made of a body, field by field; whatever differs at once is the engine's own rendering. */
  compare(body: ContainerBody, made: Inspected): FieldDifference[]
}

/** What a roll-out tells while it works; every call may be ignored. */
export type Progress = {
  step(
    operation: Operation,
    name: string,
    phase: 'begun' | 'done' | 'failed',
    ms: number,
    detail: string,
  ): void
  pull(operation: Operation, progress: PullProgress): void
  health(operation: Operation, progress: HealthProgress): void
  data(operation: Operation, progress: DataProgress): void
}

export type Step = (name: string, act: () => Promise<string | undefined>) => Promise<void>

/**
 * One wrapper for every step: intent durable, act, outcome durable. What the step answers (a sentence, or nothing)
 * stands in the journal beside it; what it throws goes on to the runbook.
 */
export function stepsOf(work: Work, operation: Operation): Step {
  return async (name, act) => {
    const sequence = work.journal.beginStep(operation, name, work.now())
    work.progress.step(operation, name, 'begun', 0, '')
    const began = performance.now()
    try {
      const detail = work.mask((await act()) ?? '')
      const ms = Math.round(performance.now() - began)
      work.journal.endStep(operation, sequence, { ms, result: 'done', detail })
      work.progress.step(operation, name, 'done', ms, detail)
    } catch (error) {
      const ms = Math.round(performance.now() - began)
      const detail = work.mask(sentenceOf(error))
      work.journal.endStep(operation, sequence, { ms, result: 'failed', detail })
      work.progress.step(operation, name, 'failed', ms, detail)
      throw error
    }
  }
}

/**
 * For steps that must not be done again once they are done: data that is back may have been written to since, by the
 * version that runs on it. Cut short, such a step is done again from its beginning.
 */
export const onlyOnce =
  (work: Work, operation: Operation, step: Step): Step =>
  async (name, act) => {
    if (!work.journal.isDone(operation.id, name)) await step(name, act)
  }

/**
 * Told to stop, or the engine is away: the operation stays as the journal has it. The next start, or the next pass
 * that finds the engine again, goes on with it.
 */
export const mustStop = (work: Work, error: unknown): boolean =>
  (codeOf(error) === 'interrupted' && work.stopping.aborted) || codeOf(error) === 'engine-unreachable'
