import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withMachineLock } from './machine-lock.ts'
import { findProgram, needPackages, type Say } from './packages.ts'
import { end, mustRun, ownerOf, works } from './process.ts'
import { freePort } from './registry.ts'
import { cacheFolder } from './rig.ts'
import { until } from './until.ts'

export type S3Server = {
  /** `http://127.0.0.1:PORT` */
  endpoint: string
  /** For the environment of a program that uses it. */
  environment: {
    AWS_ACCESS_KEY_ID: string
    AWS_SECRET_ACCESS_KEY: string
    AWS_REGION: string
    SAMOVAR_S3_ENDPOINT: string
  }
  createBucket(name: string): Promise<void>
  stop(): Promise<void>
} & AsyncDisposable

/** How many objects one page of a listing has; 1,000 at AWS. */
const pageSize = 100

/** moto and what its S3 needs; exact, so that every machine has the same. */
const pythonPackages = [
  'moto==5.2.4',
  'blinker==1.9.0',
  'boto3==1.44.5',
  'botocore==1.44.5',
  'certifi==2026.10.18',
  'cffi==2.1.1',
  'charset-normalizer==3.5.2',
  'click==8.5.1',
  'cryptography==50.0.2',
  'flask==3.1.3',
  'flask-cors==6.0.5',
  'idna==3.20',
  'itsdangerous==2.2.0',
  'jinja2==3.1.6',
  'jmespath==1.1.0',
  'markupsafe==3.0.4',
  'py-partiql-parser==0.6.3',
  'pycparser==3.12',
  'python-dateutil==2.9.0.post0',
  'pyyaml==6.0.3',
  'requests==2.34.2',
  'responses==0.26.3',
  's3transfer==0.19.3',
  'six==1.17.0',
  'urllib3==2.8.0',
  'werkzeug==3.1.9',
  'xmltodict==1.0.4',
]

/**
 * Ends with the process that started it, also when that is killed: its standard input is then closed. moto looks for a
 * key and writes it in two steps; S3 does that in one, so conditional writes wait for each other here.
 */
const program = `
import io, os, sys, threading
from moto.server import DomainDispatcherApplication, create_backend_app, run_simple

def watch():
    sys.stdin.buffer.read()
    os._exit(0)

threading.Thread(target=watch, daemon=True).start()
moto = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()

def serve(environ, start_response):
    if "HTTP_IF_NONE_MATCH" not in environ:
        return moto(environ, start_response)
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    with turn:
        return list(moto(environ, start_response))

run_simple("127.0.0.1", int(sys.argv[1]), serve, threaded=True)
`

/**
 * An S3 server on a free loopback port: moto, which has conditional writes and multipart uploads, keeps everything in
 * memory and checks no signatures. Installed from PyPI into the rig's cache folder the first time (10 s, 140 MB).
 */
export async function startS3Server(say: Say = (line) => console.error(`rig: ${line}`)): Promise<S3Server> {
  const python = await motoPython(say)
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(python, await freePort())
    } catch (error) {
      // Another process may have taken the port between looking and listening.
      if (attempt === 3) throw error
    }
  }
}

async function startOnce(python: string, port: number): Promise<S3Server> {
  const endpoint = `http://127.0.0.1:${port}`
  const environment = {
    AWS_ACCESS_KEY_ID: 'test-key',
    AWS_SECRET_ACCESS_KEY: 'test-secret',
    AWS_REGION: 'eu-central-1',
    SAMOVAR_S3_ENDPOINT: endpoint,
  }
  const server = spawn(python, ['-c', program, String(port)], {
    stdio: ['pipe', 'ignore', 'pipe'],
    // Pages of a listing that are small, so that a test of several is cheap.
    env: { ...process.env, ...environment, MOTO_S3_DEFAULT_MAX_KEYS: String(pageSize) },
  })
  let said = ''
  let ended: string | null = null
  server.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2_000)
  })
  server.once('exit', (code) => {
    ended = `moto ended with exit code ${code}`
  })
  server.once('error', (error) => {
    ended = error.message
  })
  const owner = ownerOf(server.pid ?? 0)
  const stop = () => end(owner, 2_000)
  await until(
    `moto answers at ${endpoint}`,
    async () => ended !== null || (await fetch(`${endpoint}/moto-api/`)).ok,
    { withinMs: 60_000 },
  ).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  if (ended !== null) throw new Error(`${String(ended)}: ${said}`)
  return {
    endpoint,
    environment,
    createBucket: async (name) => {
      const answer = await fetch(`${endpoint}/${name}`, { method: 'PUT' })
      if (!answer.ok) throw new Error(`moto did not make the bucket ${name}: ${await answer.text()}`)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** The Python that has moto; made once for each machine and list of packages. */
async function motoPython(say: Say): Promise<string> {
  const list = createHash('sha256').update(pythonPackages.join('\n')).digest('hex').slice(0, 12)
  const folder = join(cacheFolder(), 'moto')
  const home = join(folder, list)
  const python = join(home, 'bin', 'python')
  const complete = join(home, 'complete')
  return withMachineLock(join(folder, 'lock.db'), async () => {
    // A Python that was upgraded or removed leaves a link that leads nowhere.
    if (existsSync(complete) && (await works(python, ['-c', 'import moto.server']))) return python
    say(`installing ${pythonPackages[0]} from PyPI for the S3 tests (kept in the cache folder)`)
    await rm(home, { recursive: true, force: true })
    await mkdir(home, { recursive: true })
    await mustRun(await pythonWithVenv(say), ['-m', 'venv', home])
    await mustRun(python, ['-m', 'pip', 'install', '-q', '--no-input', ...pythonPackages], {
      timeoutMs: 600_000,
    })
    await writeFile(complete, '')
    return python
  })
}

/** Debian keeps the part of Python that makes environments in a package of its own. */
async function pythonWithVenv(say: Say): Promise<string> {
  const candidates = () => [findProgram('python3'), '/usr/bin/python3'].filter((path) => path !== null)
  const find = async () => {
    for (const path of candidates()) if (await works(path, ['-c', 'import venv, ensurepip'])) return path
    return null
  }
  await needPackages(
    [
      {
        package: 'python3-venv',
        program: 'python3 with venv',
        why: 'the S3 server of the tests, moto, is a Python program',
        isThere: async () => (await find()) !== null,
      },
    ],
    say,
  )
  const found = await find()
  if (found === null) throw new Error('python3-venv is installed, but python3 cannot make an environment.')
  return found
}
