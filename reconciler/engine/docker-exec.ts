import { randomBytes } from 'node:crypto'
import { type Duplex, Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import type Docker from 'dockerode'
import { SamovarError } from '../errors.ts'
import { refused, statusOf } from './docker-answers.ts'
import { demultiplex, lastBytes, readBounded, sortFrames } from './docker-streams.ts'
import type { Engine, Execution } from './engine.ts'

/** Output that waits for its reader; a small one fits, so that a program without a reader can end. */
const outputInMemory = 256 * 1024
const keptErrors = 4 * 1024

/** What was asked for and how it is told from other programs in the container. */
type Program = { docker: Docker; instance: string; exec: Docker.Exec; mark: string; named: string }

/**
 * Programs inside containers. Their output has to be read (or destroyed): what does not fit into 256 KiB holds the
 * program. A program whose input failed or whose output was given up is ended, so that a cut input never looks to
 * it like a complete one; that takes `sh` and `grep` in the container, and without them it only loses its streams.
 */
export function dockerExec(docker: Docker): Pick<Engine, 'exec'> {
  return {
    async exec(instance, command, input) {
      // It may fail while the engine is still asked; reading it later tells the failure again.
      input?.on('error', () => {})
      const named = `${command[0] ?? 'a command'} in container ${instance.slice(0, 12)}`
      const mark = `SAMOVAR_EXEC=${randomBytes(12).toString('hex')}`
      try {
        const exec = await docker.getContainer(instance).exec({
          Cmd: command,
          Env: [mark],
          AttachStdin: input !== undefined,
          AttachStdout: true,
          AttachStderr: true,
          Tty: false,
        })
        const connection = await exec.start({ hijack: true, stdin: false, Tty: false })
        return follow({ docker, instance, exec, mark, named }, connection, input)
      } catch (error) {
        input?.destroy()
        if (statusOf(error) === 404)
          throw new SamovarError('not-found', `container ${instance.slice(0, 12)} is gone`, { cause: error })
        throw refused(error, `running ${named}`)
      }
    },
  }
}

/** A program that runs, and how its end is told. */
type Running = {
  program: Program
  connection: Duplex
  input: Readable | undefined
  output: Readable
  /** No frame is begun and unfinished. */
  whole(): boolean
  /** What it said to its standard error, and the beginning of its output. */
  said(): { errors: string; beginning: string }
  tell(exitCode: number, errors: string): void
  fail(error: unknown): void
  /** The first of three endings counts: complete, broken, given up. */
  over: boolean
}

function follow(program: Program, connection: Duplex, input: Readable | undefined): Execution {
  const { promise: ended, resolve, reject } = Promise.withResolvers<Awaited<Execution['ended']>>()
  ended.catch(() => {})
  const errors = lastBytes(keptErrors)
  let beginning = ''
  const output = new Readable({
    highWaterMark: outputInMemory,
    read: () => void connection.resume(),
    destroy(error, done) {
      void giveUp(running, null)
      done(error)
    },
  })
  // For those who only ask how the program ended; a reader of the output hears of the error all the same.
  output.on('error', () => {})
  const frames = sortFrames({
    output: (part) => {
      if (beginning === '') beginning = part.subarray(0, 1024).toString('utf8').trim()
      if (!output.push(part)) connection.pause()
    },
    errors: (part) => errors.add(part),
  })
  const running: Running = {
    program,
    connection,
    input,
    output,
    whole: () => frames.whole(),
    said: () => ({ errors: errors.text(), beginning }),
    tell: (exitCode, said) => resolve({ exitCode, errors: said }),
    fail: reject,
    over: false,
  }
  connection.on('data', (chunk: Buffer) => frames.take(chunk))
  connection.on('end', () => void complete(running))
  connection.on('error', (error: Error) => void broken(running, error))
  connection.on('close', () => void broken(running, new Error('the connection was closed')))
  if (input !== undefined) feed(input, connection).catch((error: unknown) => giveUp(running, asError(error)))
  return { output, ended }
}

/** The connection ended: complete only when the program has ended, too, since one that is cut ends just as quietly. */
async function complete(running: Running): Promise<void> {
  if (running.over) return
  running.over = true
  release(running)
  try {
    const state = await stateOf(running.program)
    if (state.running || !running.whole()) throw lost(running.program, 'it was cut')
    const { errors, beginning } = running.said()
    // That a program cannot be executed is told by the engine as its output.
    const isEngine = errors === '' && (state.exitCode === 126 || state.exitCode === 127)
    running.tell(state.exitCode ?? -1, isEngine ? beginning : errors)
    running.output.push(null)
  } catch (error) {
    await endProgram(running.program)
    running.fail(error)
    running.output.destroy(asError(error))
  }
}

/** The connection broke. With some proxies this is how a program ends that did not read all its input: its exit code counts. */
async function broken(running: Running, error: Error): Promise<void> {
  if (running.over) return
  running.over = true
  const readAll = running.input === undefined || running.input.readableEnded
  release(running)
  const failure = lost(running.program, error.message, error)
  try {
    const state = await stateOf(running.program)
    if (state.running || readAll) throw failure
    running.tell(state.exitCode ?? -1, running.said().errors)
  } catch (cause) {
    await endProgram(running.program)
    running.fail(cause)
  }
  running.output.destroy(failure)
}

/**
 * The input failed, or nobody wants the output any more. The connection stays until the program is gone, since to the
 * program its end is the end of the input.
 */
async function giveUp(running: Running, error: Error | null): Promise<void> {
  if (running.over) return
  running.over = true
  running.connection.removeAllListeners('data')
  running.connection.resume()
  await endProgram(running.program)
  release(running)
  try {
    const state = await stateOf(running.program)
    running.tell(state.running ? -1 : state.exitCode || -1, running.said().errors)
  } catch (cause) {
    running.fail(cause)
  }
  if (error !== null) running.output.destroy(error)
}

function release({ connection, input }: Running): void {
  connection.destroy()
  input?.destroy()
}

/** Passes the input on as fast as the program reads it; its end is the end of the program's standard input. */
async function feed(input: Readable, connection: Duplex): Promise<void> {
  for await (const chunk of input) {
    if (connection.destroyed) return
    if (!connection.write(chunk)) await room(connection)
  }
  connection.end()
}

function room(connection: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      connection.off('drain', done)
      connection.off('close', done)
      resolve()
    }
    connection.on('drain', done)
    connection.on('close', done)
  })
}

/** The exit code is null when the engine does not know it any more: the container died or was removed. */
async function stateOf({ docker, instance, exec, named }: Program) {
  const gone = { running: false, exitCode: null }
  try {
    const seen = await exec.inspect()
    if (!seen.Running) return { running: false, exitCode: seen.ExitCode }
    const container = await docker.getContainer(instance).inspect()
    return container.State.Running ? { running: true, exitCode: null } : gone
  } catch (error) {
    if (statusOf(error) === 404) return gone
    throw refused(error, `asking how ${named} ended`)
  }
}

const killMarked =
  'for each in $(grep -ls "$2" /proc/[0-9]*/environ); do each=${each#/proc/}; kill "-$1" "${each%/environ}"; done'

/**
 * Ends a program inside its container. The Engine API has no call for it and lets a program whose client is gone
 * run on, so it is found by the variable in its environment. Tried three times, since a program that was only just
 * started has no environment yet; never throws, as it is done when something else has failed already.
 */
async function endProgram(program: Program): Promise<void> {
  try {
    for (const signal of ['TERM', 'TERM', 'KILL']) {
      if (!(await stateOf(program)).running) return
      const exec = await program.docker.getContainer(program.instance).exec({
        Cmd: ['sh', '-c', killMarked, 'sh', signal, program.mark],
        AttachStdout: true,
        AttachStderr: true,
      })
      const said = demultiplex(await exec.start({ hijack: true, stdin: false }))
      await readBounded(said, keptErrors, 10_000)
      if (((await exec.inspect()).ExitCode ?? 0) > 125) return
      const deadline = Date.now() + 1_000
      while (Date.now() < deadline && (await stateOf(program)).running) await pause(50)
    }
  } catch {}
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

const lost = ({ named }: Program, why: string, cause?: Error) =>
  new SamovarError('engine-unreachable', `the connection to ${named} was lost: ${why}`, { cause })
