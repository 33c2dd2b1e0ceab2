import { createHash } from 'node:crypto'
import { registryLogin } from '../engine/registry-login.ts'
import { SamovarError } from '../errors.ts'
import {
  entryFor,
  type ImageFacts,
  type Platform,
  platformOf,
  readConfiguration,
  readManifest,
  runsOn,
} from './image-facts.ts'
import { type ImageName, isDigest, isTag, readImageName } from './image-name.ts'
import { type Answer, type Registry, registryNamed, request, unreachable } from './registry-request.ts'
import { type Login, loginWanted, type Pass, passFor } from './registry-token.ts'

/**
 * What registries say about images. Everything they answer is untrusted: names and digests are checked, content is
 * hashed, lists and bodies are bounded. Every method throws SamovarError `registry-unreachable`.
 */
export type Registries = {
  /** Every tag of an image, in the order of the registry; throws when there are more than 50,000. */
  tags(image: string): Promise<string[]>
  /** The digest a tag has now, asked without counting as a pull; null when there is no such tag. */
  digest(image: string, tag: string): Promise<string | null>
  /**
   * What a tag or a digest holds; null when it is not there. What was read once of a digest is not asked again.
   * @param platform `linux/amd64`; that of this machine when not named
   */
  facts(image: string, reference: string, platform?: string): Promise<ImageFacts | null>
}

const mostTags = 50_000
const mostPages = 1_000
const perPage = 1_000
/** 1,000 tags of 128 characters are 130 kB; registries that list everything at once send all in one page. */
const pageBytes = 8 * 1024 * 1024
const manifestBytes = 4 * 1024 * 1024
const patienceMs = 120_000
const mostRemembered = 500

const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

type Asking = {
  registry: Registry
  repository: string
  passes: Map<string, Pass>
  login: () => Promise<Login>
}

/**
 * Asks registries over HTTP, as the Engine would: https, plain HTTP on this machine only; with the login that
 * `docker login` left. What a registry says about waiting is kept as long as this object lives.
 *
 * @param options.timeoutMs of one request
 * @param options.login where logins come from; Docker's own configuration when not named
 */
export function connectRegistries(options: {
  now: () => number
  timeoutMs?: number
  login?: (image: string) => Promise<Login>
}): Registries {
  const { now, timeoutMs = 30_000, login = registryLogin } = options
  const known = new Map<string, { registry: Registry; passes: Map<string, Pass> }>()
  const remembered = new Map<string, ImageFacts>()
  const asking = (image: string): Asking => {
    const name = checked(image)
    const found = known.get(name.registry) ?? {
      registry: registryNamed(name.registry, { now, timeoutMs }),
      passes: new Map<string, Pass>(),
    }
    known.set(name.registry, found)
    return {
      ...found,
      repository: name.repository,
      login: () => login(`${name.registry}/${name.repository}`),
    }
  }
  return {
    tags: async (image) => await listTags(asking(image)),
    digest: async (image, tag) => await digestOf(asking(image), tag),
    async facts(image, reference, platform = thisPlatform()) {
      const about = asking(image)
      const digest = isDigest(reference) ? reference : await digestOf(about, reference)
      if (digest === null) return null
      const key = `${about.registry.name}/${about.repository}@${digest} ${platform}`
      const facts = remembered.get(key) ?? (await readFacts(about, digest, platformOf(platform)))
      if (remembered.size >= mostRemembered) remembered.clear()
      if (facts !== null) remembered.set(key, facts)
      return facts
    },
  }
}

/** The platform of this machine; containers are Linux everywhere. */
const thisPlatform = (): string =>
  `linux/${{ x64: 'amd64', ia32: '386' }[process.arch as string] ?? process.arch}`

function checked(image: string): ImageName {
  const name = readImageName(image)
  if (name !== null) return name
  throw new SamovarError('registry-unreachable', `${JSON.stringify(image)} is not the name of an image.`)
}

async function listTags(asking: Asking): Promise<string[]> {
  const { registry, repository } = asking
  const path = `/v2/${repository}/tags/list`
  const deadline = performance.now() + patienceMs
  const tags = new Set<string>()
  const seen = new Set<string>()
  let next: URL | null = new URL(`${registry.origin}${path}?n=${perPage}`)
  while (next !== null) {
    if (seen.size >= mostPages || performance.now() > deadline)
      throw unreachable(registry, `does not come to the end of the tags of ${repository}`)
    seen.add(next.href)
    const answer = await ask(asking, { url: next, mostBytes: pageBytes })
    if (answer.status === 404) throw unreachable(registry, `does not know ${repository} (status 404)`)
    if (answer.status !== 200)
      throw unreachable(registry, `did not list the tags of ${repository} (status ${answer.status})`)
    for (const tag of readTags(asking, answer.bytes)) tags.add(tag)
    if (tags.size > mostTags)
      throw unreachable(registry, `has more than ${mostTags} tags of ${repository}`, {
        next: 'Bump this service by hand, or use a repository that holds releases only.',
      })
    next = nextPage(answer.headers.get('link'), next)
    // A page that was there already would go round for ever.
    if (next !== null && seen.has(next.href)) next = null
  }
  return [...tags]
}

function readTags({ registry, repository }: Asking, bytes: Buffer): string[] {
  try {
    const { tags } = JSON.parse(bytes.toString('utf8')) as { tags?: unknown }
    // Docker's registry says null once the last tag was deleted.
    if (tags === null) return []
    if (Array.isArray(tags)) return tags.filter((tag): tag is string => typeof tag === 'string' && isTag(tag))
  } catch {
    // Said below.
  }
  throw unreachable(registry, `answers with something else than the tags of ${repository}`)
}

/** The next page as the Link header names it, and only of the same list. */
function nextPage(link: string | null, current: URL): URL | null {
  const target = /<([^<>]{1,4000})>\s*;[^,]*\brel="?next"?/i.exec(link ?? '')?.[1]
  if (target === undefined || !URL.canParse(target, current.href)) return null
  const next = new URL(target, current)
  return next.origin === current.origin && next.pathname === current.pathname ? next : null
}

async function digestOf(asking: Asking, tag: string): Promise<string | null> {
  const { registry, repository } = asking
  if (!isTag(tag)) throw unreachable(registry, `was not asked: ${JSON.stringify(tag)} is no tag`)
  const url = manifestUrl(asking, tag)
  const head = await ask(asking, { url, method: 'HEAD', accept: manifestTypes, mostBytes: manifestBytes })
  if (head.status === 404) return null
  const said = head.headers.get('docker-content-digest') ?? ''
  if (head.status === 200 && isDigest(said)) return said
  const answer = await ask(asking, { url, accept: manifestTypes, mostBytes: manifestBytes })
  if (answer.status === 404) return null
  if (answer.status !== 200)
    throw unreachable(registry, `did not answer for ${repository}:${tag} (status ${answer.status})`)
  return digestFor(answer.bytes)
}

/** The index, the manifest for the platform, and its configuration. */
async function readFacts(asking: Asking, digest: string, platform: Platform): Promise<ImageFacts | null> {
  const top = await content(asking, manifestUrl(asking, digest), digest)
  if (top === null) return null
  const nothing: ImageFacts = { digest, platformDigest: null, created: null, labels: {} }
  const manifest = readManifest(top)
  if (manifest === null) return nothing
  const entry = manifest.kind === 'index' ? entryFor(manifest.entries, platform) : null
  if (manifest.kind === 'index' && entry === null) return { ...nothing, labels: manifest.labels }
  const below = entry === null ? top : await content(asking, manifestUrl(asking, entry.digest), entry.digest)
  const image = entry === null ? manifest : below === null ? null : readManifest(below)
  if (image?.kind !== 'image') return { ...nothing, labels: manifest.labels }
  const blob = await content(asking, blobUrl(asking, image.config), image.config)
  if (blob === null) return { ...nothing, labels: manifest.labels }
  const read = readConfiguration(blob)
  const fits = entry !== null || runsOn(read.platform, platform)
  return {
    digest,
    platformDigest: fits ? (entry?.digest ?? digest) : null,
    created: read.created,
    labels: { ...manifest.labels, ...entry?.labels, ...image.labels, ...read.labels },
  }
}

/** Null when it is not there; what is not what the digest says is an error. */
async function content(asking: Asking, url: URL, digest: string): Promise<Buffer | null> {
  const { registry, repository } = asking
  const answer = await ask(asking, { url, accept: manifestTypes, mostBytes: manifestBytes })
  if (answer.status === 404) return null
  if (answer.status !== 200)
    throw unreachable(registry, `did not answer for ${repository}@${digest} (status ${answer.status})`)
  if (digestFor(answer.bytes) !== digest)
    throw unreachable(registry, `sent something else than ${repository}@${digest}`)
  return answer.bytes
}

/** One question, with a login once the registry has asked for it. */
async function ask(
  asking: Asking,
  wanted: { url: URL; method?: 'HEAD'; accept?: string; mostBytes: number },
): Promise<Answer> {
  const { registry, repository, passes } = asking
  const once = async (pass: Pass | undefined): Promise<Answer> =>
    await request(registry, {
      method: wanted.method ?? 'GET',
      url: wanted.url,
      headers: {
        ...(wanted.accept === undefined ? {} : { accept: wanted.accept }),
        ...(pass === undefined ? {} : { authorization: pass.authorization }),
      },
      mostBytes: wanted.mostBytes,
      follow: true,
    })
  const held = passes.get(repository)
  const first = await once(held !== undefined && held.until > registry.now() ? held : undefined)
  if (first.status === 403) throw loginWanted(registry)
  if (first.status !== 401) return first
  const header = first.headers.get('www-authenticate') ?? ''
  const pass = await passFor(registry, { header, repository, login: await asking.login() })
  const second = await once(pass)
  if (second.status === 401 || second.status === 403) throw loginWanted(registry)
  passes.set(repository, pass)
  return second
}

const manifestUrl = ({ registry, repository }: Asking, reference: string): URL =>
  new URL(`${registry.origin}/v2/${repository}/manifests/${reference}`)

const blobUrl = ({ registry, repository }: Asking, digest: string): URL =>
  new URL(`${registry.origin}/v2/${repository}/blobs/${digest}`)

const digestFor = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
