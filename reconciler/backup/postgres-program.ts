import { PassThrough, type Readable } from 'node:stream'
import type { DatabaseServer } from './postgres-session.ts'

/** Where PostgreSQL's programs are: a running server, or any running container of its image. */
export type Programs = Pick<DatabaseServer, 'engine' | 'instance'>

/**
 * Runs a program on a stream. The stream is read to its end also when the program was content with less of it, so that
 * whoever checks it can; when the program fails it is given up.
 *
 * @throws what the stream fails with, rather than what the program says to that
 */
export async function feedProgram(
  where: Programs,
  command: string[],
  source: Readable,
): Promise<{ exitCode: number; errors: string }> {
  const input = new PassThrough({ highWaterMark: 1 << 20 })
  // A program that ends early closes it; its exit code says what that means.
  input.on('error', () => {})
  try {
    const { output, ended } = await where.engine.exec(where.instance, command, input)
    output.resume()
    const [fed, end] = await Promise.allSettled([pass(source, input, ended), ended])
    if (fed.status === 'rejected') throw fed.reason
    if (end.status === 'rejected') throw end.reason
    return end.value
  } finally {
    source.destroy()
  }
}

async function pass(
  source: Readable,
  input: PassThrough,
  ended: Promise<{ exitCode: number }>,
): Promise<void> {
  try {
    for await (const chunk of source) {
      if (input.destroyed) {
        if ((await ended).exitCode !== 0) return
      } else if (!input.write(chunk)) await room(input)
    }
    input.end()
  } catch (error) {
    input.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
}

function room(input: PassThrough): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      input.off('drain', done)
      input.off('close', done)
      resolve()
    }
    input.on('drain', done)
    input.on('close', done)
  })
}
