import type Docker from 'dockerode'
import { SamovarError } from '../errors.ts'
import { refused } from './docker-answers.ts'
import { dockerArchive } from './docker-archive.ts'
import { dockerData } from './docker-data.ts'
import { dockerExec } from './docker-exec.ts'
import { dockerImages } from './docker-images.ts'
import { dockerLook } from './docker-look.ts'
import { dockerOneOff } from './docker-one-off.ts'
import { dockerPrepare } from './docker-prepare.ts'
import { dockerSwap } from './docker-swap.ts'
import type { Capabilities, Engine } from './engine.ts'

/** The newest Engine API this code was written against; an older engine is spoken to in its own. */
const newestApi = [1, 44] as const
/** Engine 20.10; below it `GET /containers/json` and platform pulls differ. */
const oldestApi = [1, 41] as const

/**
 * A Docker Engine, through its API. The version is negotiated once: Engine 29 refuses old versions, Engine 20.10
 * new ones, and an unversioned path would mean another dialect on each host.
 *
 * @param dockerHost as in DOCKER_HOST (`unix:///var/run/docker.sock`, `tcp://..`), or undefined for the default
 * @throws SamovarError `engine-unreachable`
 */
export async function connectDocker(dockerHost: string | undefined): Promise<Engine> {
  const where = dockerHost ?? 'unix:///var/run/docker.sock'
  // Only now: with the gRPC and SSH it brings along it is a tenth of a second that `--help` need not wait for.
  const { default: Client } = await import('dockerode')
  const version = await negotiate(new Client(addressOf(where)), where)
  const docker = new Client({ ...addressOf(where), version: `v${version.api}` })
  const capabilities: Capabilities = {
    keepsOld: 'container',
    nodes: 1,
    description: `Docker Engine ${version.engine} (API ${version.api})`,
    apiVersion: version.api,
    platform: version.platform,
  }
  return {
    capabilities: () => Promise.resolve(capabilities),
    ...dockerLook(docker),
    ...dockerImages(docker, { local: where.startsWith('unix:') }),
    ...dockerPrepare(docker, version.api),
    ...dockerSwap(docker),
    ...dockerExec(docker),
    ...dockerData(docker),
    ...dockerArchive(docker),
    ...dockerOneOff(docker),
    close: () => Promise.resolve(),
  }
}

function addressOf(dockerHost: string): Docker.DockerOptions {
  if (dockerHost.startsWith('unix://')) return { socketPath: dockerHost.slice('unix://'.length) }
  const url = new URL(dockerHost.replace(/^tcp:/, 'http:'))
  return { host: url.hostname, port: url.port === '' ? 2375 : Number(url.port), protocol: 'http' }
}

async function negotiate(docker: Docker, where: string) {
  let answer: Docker.DockerVersion
  try {
    answer = await docker.version()
  } catch (error) {
    throw refused(error, `asking the engine at ${where} for its version`)
  }
  const offered = apiOf(answer.ApiVersion)
  const lowest = apiOf(answer.MinAPIVersion ?? '1.12')
  if (older(offered, oldestApi) || older(newestApi, lowest)) {
    throw new SamovarError(
      'engine-refused',
      `the engine at ${where} speaks API ${answer.MinAPIVersion} to ${answer.ApiVersion}; Samovar speaks 1.41 to 1.44`,
      { next: 'Use a Docker Engine from 20.10 on.' },
    )
  }
  const chosen = older(offered, newestApi) ? offered : newestApi
  return { api: chosen.join('.'), engine: answer.Version, platform: `${answer.Os}/${answer.Arch}` }
}

const apiOf = (text: string): readonly [number, number] => {
  const [major = '1', minor = '0'] = text.split('.')
  return [Number(major), Number(minor)]
}

const older = (a: readonly [number, number], b: readonly [number, number]): boolean =>
  a[0] < b[0] || (a[0] === b[0] && a[1] < b[1])
