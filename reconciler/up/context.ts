import type { Operation } from '../journal/operation.ts'
import type { Memory } from '../look.ts'
import type { Parts } from '../parts.ts'
import type { Progress } from '../rollout/step.ts'
import type { Settings } from '../settings.ts'
import type { PassOptions } from '../work.ts'
import type { LocalCheckout } from './local-checkout.ts'
import type { Programs } from './programs.ts'

/** What `samovar up` is given by the one who calls it. */
export type UpWanted = {
  /** Top of the checkout of the host repository. */
  folder: string
  /** What the daemon's unit reads. */
  environmentFile: string
  /** Login of the administrator, when one is to be made. */
  login: string
  /** Settings: of the process, and below them those of the file. */
  environment: Record<string, string | undefined>
  stopping: AbortSignal
  progress: Progress
  ended: (operation: Operation) => void
  /** May what the lines say be done to the host? */
  confirm: (lines: string[]) => Promise<boolean>
  /** What is waited for: names of checks of a service. */
  waiting: (service: string, checks: string[]) => void
  programs: Programs
}

/** What the steps of one run share. */
export type UpContext = {
  wanted: UpWanted
  settings: Settings
  parts: Parts
  memory: Memory
  options: PassOptions
  checkout: LocalCheckout
  /** An earlier run has come to its end: the host follows its own Gitea. */
  isSwitched: boolean
  /** The daemon has the lock: roll-outs are its work. */
  hasDaemon: boolean
  /** Owner and name of the host repository in Gitea. */
  repository: { owner: string; name: string }
  /** How the last roll-out of each service in this run ended. */
  operations: Map<string, Operation>
}

/** Written when the host was handed over to its Gitea: the address of the repository there. */
export const switchedNote = 'up-switched'
/** `name` of host.yaml that this host was set up for. */
export const hostNote = 'up-host'
