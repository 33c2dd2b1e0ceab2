import { spawn } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { mustRun } from './process.ts'
import { tempFolder } from './temp-folder.ts'

/** How the server fails, for tests of a remote that is away, ill or broken. */
export type Fault = 'none' | 'unreachable' | 'answers-500' | 'corrupt'

export type GitServer = {
  /** `http://127.0.0.1:PORT` */
  url: string
  /** Where the bare repositories are, for tests that damage them. */
  folder: string
  /** Creates an empty repository with the branch `main`. Answers its URL, without credentials. */
  createRepository(name: string): Promise<string>
  /**
   * Commits to `main` through a clone of its own and pushes.
   *
   * @param files path -> content; null removes the file
   * @returns the id of the commit
   */
  commit(repository: string, files: Record<string, string | null>, message?: string): Promise<string>
  /** Moves `main` back to a commit and forgets what came after it, as `git push --force` does. */
  forcePush(repository: string, commit: string): Promise<void>
  /** From now on only requests with this token are answered, as bearer or as password; null opens it again. */
  require(token: string | null): void
  fail(fault: Fault): void
  /** How many requests it has answered or refused so far. */
  requests(): number
} & AsyncDisposable

/** Anything that reads the user's Git configuration would test that, too. */
export const quietGit = {
  ...process.env,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: 'Operator',
  GIT_AUTHOR_EMAIL: 'operator@example.com',
  GIT_COMMITTER_NAME: 'Operator',
  GIT_COMMITTER_EMAIL: 'operator@example.com',
}

/** A real Git server over HTTP: git's own `git http-backend` on a free loopback port. */
export async function startGitServer(): Promise<GitServer> {
  const temp = await tempFolder('git-server')
  const folder = join(temp.path, 'repositories')
  await mkdir(folder)
  const state = { fault: 'none' as Fault, token: null as string | null, requests: 0 }
  const server = createServer((request, response) => {
    state.requests += 1
    if (state.fault === 'unreachable') request.socket.destroy()
    else if (!isAllowed(request, state.token)) refuse(response)
    else if (state.fault === 'answers-500') response.writeHead(500).end('out of order')
    else if (state.fault === 'corrupt')
      response.writeHead(200, { 'content-type': contentTypeOf(request) }).end('0000rubbish')
    else answerByGit(folder, request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The Git server has no port.')
  const url = `http://127.0.0.1:${address.port}`
  const work = (name: string) => join(temp.path, 'work', name)
  const git = (name: string, ...args: string[]) =>
    mustRun('git', ['-C', work(name), ...args], { env: quietGit })
  return {
    url,
    folder,
    createRepository: async (name) => {
      const bare = join(folder, `${name}.git`)
      await mustRun('git', ['init', '-q', '--bare', '--initial-branch=main', bare], { env: quietGit })
      await mkdir(work(name), { recursive: true })
      await git(name, 'init', '-q', '--initial-branch=main')
      await git(name, 'remote', 'add', 'origin', bare)
      return `${url}/${name}.git`
    },
    commit: async (name, files, message = 'change the desired state') => {
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(work(name), path)), { recursive: true })
        if (content === null) await rm(join(work(name), path), { force: true })
        else await writeFile(join(work(name), path), content)
      }
      await git(name, 'add', '-A')
      await git(name, 'commit', '-q', '--allow-empty', '-m', message)
      await git(name, 'push', '-q', 'origin', 'HEAD:main')
      return (await git(name, 'rev-parse', 'HEAD')).trim()
    },
    forcePush: async (name, commit) => {
      await git(name, 'reset', '-q', '--hard', commit)
      await git(name, 'push', '-q', '--force', 'origin', 'HEAD:main')
    },
    require: (token) => {
      state.token = token
    },
    fail: (fault) => {
      state.fault = fault
    },
    requests: () => state.requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await temp[Symbol.asyncDispose]()
    },
  }
}

function isAllowed(request: IncomingMessage, token: string | null): boolean {
  const [scheme = '', credentials = ''] = (request.headers.authorization ?? '').split(' ')
  if (token === null || (/^(bearer|token)$/i.test(scheme) && credentials === token)) return true
  return (
    /^basic$/i.test(scheme) &&
    Buffer.from(credentials, 'base64').toString().split(':').slice(1).join(':') === token
  )
}

function refuse(response: ServerResponse): void {
  response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end('a token is needed')
}

function contentTypeOf(request: IncomingMessage): string {
  const service = new URL(request.url ?? '/', 'http://localhost').searchParams.get('service')
  return service === null ? 'application/x-git-upload-pack-result' : `application/x-${service}-advertisement`
}

/** The Common Gateway Interface, as far as git http-backend speaks it. */
export function answerByGit(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://localhost')
  const child = spawn('git', ['-c', 'http.receivepack=true', 'http-backend'], {
    env: {
      ...quietGit,
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REMOTE_USER: 'operator',
      REMOTE_ADDR: '127.0.0.1',
    },
  })
  request.pipe(child.stdin)
  child.stdin.on('error', () => {})
  child.once('error', (error) => response.writeHead(500).end(`git could not be started: ${error.message}`))
  response.once('close', () => child.kill())
  // git says its headers at once. Gitea says them after the last byte of a push; a proxy that has an answer takes no more.
  const isRead = new Promise<void>((resolve) => {
    request.once('end', resolve)
    child.once('exit', () => resolve())
  })
  let head = Buffer.alloc(0)
  child.stdout.on('data', function readHead(chunk: Buffer) {
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end === -1) return
    child.stdout.off('data', readHead)
    const lines = head.subarray(0, end).toString().split('\r\n')
    const headers = lines.map((line) => line.split(': ', 2) as [string, string])
    const status = Number.parseInt(headers.find(([name]) => name === 'Status')?.[1] ?? '200', 10)
    child.stdout.off('end', isNothing).pause()
    void isRead.then(() => {
      response.writeHead(status, Object.fromEntries(headers.filter(([name]) => name !== 'Status')))
      response.write(head.subarray(end + 4))
      child.stdout.pipe(response)
    })
  })
  const isNothing = () => void response.writeHead(500).end('git answered nothing')
  child.stdout.once('end', isNothing)
}
