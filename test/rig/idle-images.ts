import { debianLayer } from './debian-layer.ts'
import { baseLayer } from './images.ts'
import { type ImageConfiguration, type ImageFile, type Layer, layerOf, pushImage } from './push-image.ts'

const searchPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Diun as far as a container of it can be told from outside: `diun serve` wants its configuration, the list of images and
 * a token for its webhook, then rests; `diun healthcheck` passes from then on.
 */
const diun = `#!/bin/sh
case "\${1:-}" in
  serve) ;;
  healthcheck) [ -e /tmp/ready ]; exit ;;
  *) echo "diun: unexpected argument \${1:-}" >&2; exit 80 ;;
esac
trap 'exit 0' TERM INT
list=$(sed -n 's/^ *filename: //p' "$CONFIG") || exit 1
[ -r "$list" ] || { echo "FTL cannot read the images: $list" >&2; exit 1; }
case "\${DIUN_NOTIF_WEBHOOK_HEADERS_AUTHORIZATION:-}" in
  'Bearer '?*) ;;
  *) echo 'FTL the webhook has no token' >&2; exit 1 ;;
esac
: >/data/diun.db && : >/tmp/ready || exit 1
echo "INF $(grep -c '^ *- name:' "$list") image(s) to watch"
while :; do sleep 2147483 & wait $!; done
`

const node: ImageFile[] = [
  ...folders('usr', 'usr/lib', 'usr/local', 'usr/local/bin', 'usr/local/lib'),
  ...folders(
    'usr/local/lib/node_modules',
    'usr/local/lib/node_modules/npm',
    'usr/local/lib/node_modules/npm/bin',
  ),
  { path: 'usr/local/bin/node', content: '#!/bin/sh\necho "v$(cat /etc/release-of)"\n', mode: 0o755 },
  { path: 'usr/lib/libstdc++.so.6', content: 'stand-in' },
  { path: 'usr/lib/libgcc_s.so.1', content: 'stand-in' },
  ...['npm', 'npx'].map((name) => ({
    path: `usr/local/lib/node_modules/npm/bin/${name}-cli.js`,
    content: 'stand-in',
  })),
]

const compose: ImageFile[] = [
  ...folders('usr', 'usr/local', 'usr/local/libexec', 'usr/local/libexec/docker'),
  ...folders('usr/local/libexec/docker/cli-plugins'),
  {
    path: 'usr/local/libexec/docker/cli-plugins/docker-compose',
    content: '#!/bin/sh\necho "Docker Compose version stand-in"\n',
    mode: 0o755,
  },
]

function folders(...paths: string[]): ImageFile[] {
  return paths.map((each) => ({ path: each, folder: true }))
}

const idleImages: Record<string, { files: ImageFile[]; configuration?: ImageConfiguration }> = {
  diun: {
    files: [
      ...folders('usr', 'usr/local', 'usr/local/bin'),
      { path: 'usr/local/bin/diun', content: diun, mode: 0o755 },
    ],
    configuration: { Entrypoint: ['diun'], Cmd: ['serve'], Volumes: { '/data': {} } },
  },
  node: { files: node, configuration: { Cmd: ['node'] } },
  docker: { files: compose, configuration: { Cmd: ['sh'] } },
}

/**
 * What the stack of this repository has beside nginx, Gitea and its database, as small shell scripts in the places where the
 * real images have their programs: `diun`, `node` and `docker`. They do enough to start, or end, under the limits of the
 * Compose file.
 *
 * @param tags of each, as the desired state names them
 */
export async function pushIdleImages(
  registry: string,
  tags: Record<'diun' | 'node' | 'docker', string>,
): Promise<void> {
  for (const [name, tag] of Object.entries(tags)) {
    const { files = [], configuration = {} } = idleImages[name] ?? {}
    const release = { path: 'etc/release-of', content: tag.replace(/-.*$/, '') }
    await pushImage(registry, { name, tag }, [await baseLayer(() => {}), layerOf([...files, release])], {
      Env: [searchPath],
      Labels: { 'org.opencontainers.image.version': tag },
      ...configuration,
    })
  }
}

type Stored = { config: { digest: string }; layers: { digest: string }[] }

/** The same image under another tag, with more layers on top. */
export async function tagAgain(
  registry: string,
  name: string,
  { from, to, layers = [] }: { from: string; to: string; layers?: Layer[] },
): Promise<void> {
  const get = async (path: string, accept: string) => {
    const answer = await fetch(`http://${registry}/v2/${name}/${path}`, { headers: { accept } })
    if (!answer.ok) throw new Error(`the registry has no ${name} ${path}: ${answer.status}`)
    return Buffer.from(await answer.arrayBuffer())
  }
  const type = 'application/vnd.docker.distribution.manifest.v2+json'
  const manifest = JSON.parse((await get(`manifests/${from}`, type)).toString()) as Stored
  const { config, rootfs } = JSON.parse((await get(`blobs/${manifest.config.digest}`, '*/*')).toString()) as {
    config: ImageConfiguration
    rootfs: { diff_ids: string[] }
  }
  const own: Layer[] = []
  for (const [at, { digest }] of manifest.layers.entries())
    own.push({ gzipped: await get(`blobs/${digest}`, '*/*'), digest, diffId: rootfs.diff_ids[at] ?? '' })
  await pushImage(registry, { name, tag: to }, [...own, ...layers], config)
}

/**
 * Makes `wget` of an image what it is in Alpine's: busybox' own runs itself whatever PATH says, crashes on -T, and speaks TLS
 * only through the program openssl.
 */
export const withWget = async (cacheFolder: string): Promise<Layer[]> => [
  await debianLayer(cacheFolder, { packages: ['dash', 'openssl'] }, () => {}),
  layerOf([
    { path: 'bin/sh', linkTo: 'dash' },
    { path: 'usr/local/bin/wget', content: wget, mode: 0o755 },
  ]),
]

const wget = `#!/bin/dash
limit=60
for word in "$@"; do
  shift
  case "$take$word" in
    -T) take=limit= ;;
    limit=*) limit=$word take= ;;
    *) set -- "$@" "$word" ;;
  esac
done
exec timeout "$limit" busybox wget "$@"
`
