import { fullImageName } from './image-name.ts'

/** What a request of Diun says. Only the repository is used of it: which version it is to be is asked of the registry. */
export type DiunEvent =
  | { kind: 'event'; repository: string }
  /** `diun notif test`: its image exists nowhere. */
  | { kind: 'test' }
  | { kind: 'invalid'; problem: string }

const testImage = 'docker.io/diun/testnotif'

/** The texts among the 11 keys that Diun 4.33 sends, and how long each may be. */
const longest: Record<string, number> = {
  diun_version: 100,
  hostname: 255,
  status: 20,
  provider: 100,
  image: 512,
  hub_link: 4096,
  mime_type: 255,
  digest: 255,
  platform: 100,
}
const mostMetadata = 100

/**
 * Reads the body of a webhook of Diun, once it was parsed. `image` and `status` must be there. The other keys must be
 * what Diun sends when they are there at all, so that a stranger's body is told from Diun's; keys that a later Diun
 * adds are passed over. Nothing of the body is repeated in `problem`.
 *
 * `image` is read without its tag and digest: the digest there is the old one of the file, and the metadata may be
 * that of another service of the same repository (seen with Diun 4.33).
 */
export function readDiunEvent(value: unknown): DiunEvent {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    return invalid('the body is no JSON object')
  const body = value as Record<string, unknown>
  const problem = problemOf(body)
  if (problem !== null) return invalid(problem)
  const repository = repositoryOf(String(body['image']))
  if (repository === null) return invalid('image is not the name of an image')
  return repository === testImage ? { kind: 'test' } : { kind: 'event', repository }
}

function problemOf(body: Record<string, unknown>): string | null {
  for (const key of ['image', 'status']) if (!Object.hasOwn(body, key)) return `${key} is missing`
  for (const [key, most] of Object.entries(longest)) {
    if (!Object.hasOwn(body, key)) continue
    const text = body[key]
    if (typeof text !== 'string') return `${key} is no text`
    if (text.length > most) return `${key} is longer than ${most} characters`
  }
  if (body['status'] !== 'new' && body['status'] !== 'update') return 'status is neither new nor update'
  const created = body['created'] ?? null
  if (created !== null && (typeof created !== 'string' || created.length > 100)) return 'created is no time'
  const metadata = body['metadata'] ?? null
  if (metadata === null) return null
  if (typeof metadata !== 'object' || Array.isArray(metadata)) return 'metadata is no mapping'
  return Object.keys(metadata).length > mostMetadata ? `metadata has more than ${mostMetadata} keys` : null
}

/** `host:5000/app:1.2@sha256:...` is `host:5000/app`: a colon before the last slash belongs to the port. */
function repositoryOf(image: string): string | null {
  const tagged = image.split('@', 1)[0] ?? ''
  const colon = tagged.lastIndexOf(':')
  return fullImageName(colon > tagged.lastIndexOf('/') ? tagged.slice(0, colon) : tagged)
}

const invalid = (problem: string): DiunEvent => ({ kind: 'invalid', problem })
