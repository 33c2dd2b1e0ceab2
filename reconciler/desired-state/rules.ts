import type { DataPart, Finding, Host, ServicePolicy, StorePolicy } from '../desired-state.ts'
import type { ServiceFile } from './policies.ts'
import { nearest, oneOf, quoted } from './wording.ts'
import type { YamlFile } from './yaml-file.ts'

/** A file and the top-level keys the schema found fault with: rules draw no conclusions from those. */
export type JudgedFile = { yaml: YamlFile; faulty: ReadonlySet<string> }

/** What rules look at: the policy as it would apply, and the file as it is written. */
type Judged = {
  policy: ServicePolicy
  written: ServiceFile
  yaml: YamlFile
  sound: (...keys: string[]) => boolean
  /** It has `data`, or holds the databases of others. */
  holdsData: boolean
}

/** The windows of host.yaml by name. */
export type KnownWindows = ReadonlyMap<string, 'allow' | 'deny'>

/** Tags that promise nothing: whoever pulls them again gets something else. */
const movingWord =
  /(^|[^a-z])(nightly|edge|stable|mainline|main|master|dev|develop|snapshot|canary|lts|current)([^a-z]|$)/i

/** What a schema cannot say about host.yaml. */
export function judgeHost({ backup }: Host, { yaml, faulty }: JudgedFile): Finding[] {
  if (backup === null || faulty.has('') || faulty.has('backup')) return []
  const findings = twins(backup.stores.map(placeOf)).map(({ index, first }) =>
    yaml.findingAt(
      ['backup', 'stores', index],
      'value',
      `is the same place as backup.stores[${first}], expected each store once`,
    ),
  )
  if (backup.stores.some((store) => store.required)) return findings
  const message =
    'has no store that is required, so a backup would count that is nowhere; expected one without `required: false`'
  return [...findings, yaml.findingAt(['backup', 'stores'], 'key', message)]
}

/** Another region does not make another bucket: their names are unique. */
const placeOf = (store: StorePolicy): string =>
  store.kind === 'file' ? store.folder : `${store.bucket} ${store.prefix}`

/** What stands there a second time, and where it stood first. */
function twins(names: string[]): { index: number; first: number }[] {
  return names
    .map((name, index) => ({ index, first: names.indexOf(name) }))
    .filter(({ index, first }) => first < index)
}

/**
 * What a schema cannot say about one service file.
 * @param known.windows the windows of host.yaml by name, or null when they are not known
 * @param known.servers services that hold the databases of others
 */
export function judgeService(
  policy: ServicePolicy,
  file: JudgedFile,
  known: { windows: KnownWindows | null; servers: ReadonlySet<string> },
): Finding[] {
  // A file that is no mapping has been refused as a whole.
  if (file.faulty.has('')) return []
  const judged: Judged = {
    policy,
    written: file.yaml.value as ServiceFile,
    yaml: file.yaml,
    sound: (...keys) => keys.every((key) => !file.faulty.has(key)),
    holdsData: policy.data.length > 0 || known.servers.has(policy.service),
  }
  return [
    judgeTag(judged),
    judgeTagPattern(judged),
    judgeWindow(judged, known.windows),
    judgeRevert(judged),
    judgeBackup(judged),
    judgeHealth(judged),
    ...judgeData(judged),
  ].filter((finding) => finding !== null)
}

/**
 * `latest` is refused even beside a digest, since history and `{tag}` would say nothing. Other words that move, and
 * tags without a digit, need a digest. A short version such as `18` is a choice: it is resolved once per commit.
 */
function judgeTag({ policy, yaml, sound }: Judged): Finding | null {
  if (!sound('tag', 'digest')) return null
  const expected = 'expected the tag of one version such as 1.22.6'
  if (/(^|[^a-z])latest([^a-z]|$)/i.test(policy.tag)) {
    return yaml.findingAt(['tag'], 'value', `${quoted(policy.tag)} is whatever is newest, ${expected}`)
  }
  if (policy.digest !== null || (/\d/.test(policy.tag) && !movingWord.test(policy.tag))) return null
  return yaml.findingAt(
    ['tag'],
    'value',
    `${quoted(policy.tag)} names no version, ${expected}, or a digest beside it`,
  )
}

function judgeTagPattern({ policy, yaml, sound }: Judged): Finding | null {
  const pattern = policy.update.tags
  if (pattern === null || !sound('tag', 'update') || new RegExp(pattern).test(policy.tag)) return null
  const message = `${quoted(policy.tag)} does not match update.tags ${quoted(pattern)}, expected a tag that does`
  return yaml.findingAt(['tag'], 'value', message)
}

function judgeWindow({ policy, yaml, sound }: Judged, windows: KnownWindows | null): Finding | null {
  const name = policy.update.window
  if (name === null || windows === null || !sound('update')) return null
  const kind = windows.get(name)
  if (kind === 'allow') return null
  const names = [...windows.keys()].filter((each) => windows.get(each) === 'allow')
  const known =
    names.length > 0
      ? oneOf(names)
      : `a window ${windows.size > 0 ? 'of kind allow ' : ''}under \`windows\` in host.yaml, which has none`
  const meant = kind === 'deny' ? null : nearest(name, names)
  const wrong =
    kind === 'deny'
      ? 'is a window that denies, which holds every service anyway'
      : 'is not a window of host.yaml'
  const message = `${quoted(name)} ${wrong}, expected ${known}`
  return yaml.findingAt(
    ['update', 'window'],
    'value',
    meant === null ? message : `${message} (did you mean ${meant}?)`,
  )
}

function judgeRevert({ written, yaml, sound, holdsData }: Judged): Finding | null {
  if (written.revert?.data !== 'restore' || !sound('revert', 'data', 'backup')) return null
  const at = ['revert', 'data']
  if (!holdsData) {
    return yaml.findingAt(
      at,
      'value',
      'restore has nothing to restore, expected `data` in this file, or keep',
    )
  }
  if (written.backup?.before !== 'none') return null
  return yaml.findingAt(
    at,
    'value',
    'restore has no backup to restore from, expected backup: { before: update }, or keep',
  )
}

function judgeBackup({ written, yaml, sound, holdsData }: Judged): Finding | null {
  if (written.backup?.before !== 'update' || holdsData || !sound('backup', 'data')) return null
  return yaml.findingAt(
    ['backup', 'before'],
    'value',
    'update has nothing to back up, expected `data` in this file',
  )
}

function judgeData({ policy, yaml, sound }: Judged): Finding[] {
  if (!sound('data')) return []
  return twins(policy.data.map(partName)).map(({ index, first }) =>
    yaml.findingAt(['data', index], 'value', `is the same as data[${first}], expected each part once`),
  )
}

const partName = (part: DataPart): string =>
  'volume' in part ? `volume ${part.volume}` : `database ${part.database} of ${part.postgres}`

function judgeHealth({ policy, written, yaml, sound }: Judged): Finding | null {
  const { within, steady } = policy.health
  if (!sound('health') || steady < within) return null
  const key = written.health?.steady === undefined ? 'within' : 'steady'
  const message =
    key === 'steady'
      ? `${steady / 1000}s do not fit into \`within\` (${within / 1000}s), expected less`
      : `${within / 1000}s leave no room for \`steady\` (${steady / 1000}s), expected more`
  return yaml.findingAt(['health', key], 'value', message)
}
