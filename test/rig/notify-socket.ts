import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { works } from './process.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'

/** systemd-notify comes with systemd; a container without it has nobody to notify either. */
export const hasSystemdNotify = await works('systemd-notify', ['--version']).catch(() => false)

/** A socket as systemd has it (Unix datagrams, which Node lacks, so Python listens), and what was told to it. */
export async function startNotifySocket() {
  const folder = await tempFolder('notify')
  const path = join(folder.path, 'notify')
  const child = spawn('python3', ['-u', '-c', listen, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  await until('it listens', () => text.startsWith('listening\n'), { withinMs: 10_000 })
  const messages = (): string[][] =>
    text
      .split('\n')
      .slice(1, -1)
      .map((line) => (JSON.parse(line) as string).split('\n'))
      .filter((fields) => !fields.includes('BARRIER=1'))
  return {
    path,
    messages,
    /** All fields that were told, in order. */
    fields: (): string[] => messages().flat(),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) {
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        await ended
      }
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** One line of JSON for each datagram. `recv` drops the descriptor that comes with BARRIER=1, as systemd closes it. */
const listen = `
import json, socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print('listening')
while True:
    print(json.dumps(receiver.recv(65536).decode()))
`
