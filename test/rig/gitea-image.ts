import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { debianLayer } from './debian-layer.ts'
import { baseLayer } from './images.ts'
import { withMachineLock } from './machine-lock.ts'
import { candidateVersion, type Say, unpackPackages, withLibraries } from './packages.ts'
import { postgresLayer, postgresPath } from './postgres-image.ts'
import { mustRun } from './process.ts'
import { diffIdOf, type ImageFile, type Layer, layerOf, layerOfGzip, pushImage } from './push-image.ts'

/**
 * A stand-in for docker.io/gitea/gitea, of which no package can be had: the pretend Gitea (pretend-gitea.ts, which passes
 * the contract of the forge) in a container, with real Git over HTTP and its accounts, tokens and pull requests in a
 * real PostgreSQL. How a test uses it:
 *
 *     await pushGitea(rig.registry, rig.cacheFolder)       // gitea:1.27.1, 1.27.2, 1.28.0 and runner:3.3.0, 3.3.1
 *     image: ${rig.registry}/gitea, tag: 1.27.1            // in desired-state/services/gitea.yaml
 *
 * - Environment as Gitea has it, each also as `..__FILE`: GITEA__security__INSTALL_LOCK (must be true),
 *   GITEA__database__{HOST,NAME,USER,PASSWD}, GITEA__server__{ROOT_URL,HTTP_PORT,SSH_LISTEN_PORT},
 *   GITEA__metrics__{ENABLED,TOKEN}. Others are written into /data/gitea/conf/app.ini and mean nothing.
 * - Volume /data: repositories in /data/git/repositories. Everything else is in the database, so that both must go back
 *   together. Ports 3000 and 22 (a banner only). User git, 1000; starts as root.
 * - `GET /api/healthz` asks the database (424 when it does not answer), `/api/v1/version` says the tag, `/metrics`.
 * - `gitea admin user create|list|delete`, `gitea actions generate-runner-token [-s OWNER/NAME]`, `gitea --version`; as root it
 *   refuses, so `docker exec -u git` or `su-exec git gitea ...`.
 * - 1.27.1 and 1.27.2 have one schema; 1.28.0 migrates the database and then answers 502 to everything. An older one
 *   refuses a database that is newer than itself and ends with exit code 0, as Gitea's image does.
 *
 * `runner` registers itself as docker.io/gitea/runner does (GITEA_INSTANCE_URL, GITEA_RUNNER_REGISTRATION_TOKEN or _FILE,
 * GITEA_RUNNER_NAME), remembers that in /data/.runner and takes no jobs; it ends with 1 when it is refused.
 *
 * @param registry `127.0.0.1:PORT`
 * @param cacheFolder the rig's
 */
export async function pushGitea(registry: string, cacheFolder: string, say: Say = () => {}): Promise<void> {
  const layers = [
    await baseLayer(say),
    await postgresLayer(cacheFolder, say),
    await gitAndNodeLayer(cacheFolder, say),
    layerOf([...programs, ...(await sources())]),
  ]
  await withMachineLock(join(cacheFolder, 'gitea', 'push.lock.db'), async () => {
    for (const [tag, release] of Object.entries(giteaVersions)) {
      const own = layerOf([
        { path: 'etc/gitea-release', content: JSON.stringify({ version: tag, ...release }) },
      ])
      await pushImage(registry, { name: 'gitea', tag }, [...layers, own], {
        Env: [postgresPath, 'USER=git', 'GITEA_CUSTOM=/data/gitea'],
        Entrypoint: ['/usr/bin/entrypoint'],
        ExposedPorts: { '3000/tcp': {}, '22/tcp': {} },
        Volumes: { '/data': {} },
        Labels: { 'org.opencontainers.image.version': tag },
      })
    }
    await pushRunner(registry, cacheFolder, say)
  })
}

export const giteaVersions: Record<string, { schema: number; behaviour: 'good' | 'broken' }> = {
  '1.27.1': { schema: 343, behaviour: 'good' },
  '1.27.2': { schema: 343, behaviour: 'good' },
  '1.28.0': { schema: 351, behaviour: 'broken' },
}

/** busybox speaks TLS through the program openssl; what it can by itself, no server of today accepts. */
async function pushRunner(registry: string, cacheFolder: string, say: Say): Promise<void> {
  const layers = [
    await baseLayer(say),
    await debianLayer(cacheFolder, { packages: ['openssl'] }, say),
    layerOf([{ path: 'usr/bin/runner', content: runner, mode: 0o755 }]),
  ]
  for (const tag of ['3.3.0', '3.3.1'])
    await pushImage(registry, { name: 'runner', tag }, layers, {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Entrypoint: ['/usr/bin/runner'],
      Volumes: { '/data': {} },
      Labels: { 'org.opencontainers.image.version': tag },
    })
}

/** This machine's own Node and Debian's git with what it needs; cached compressed. */
export async function gitAndNodeLayer(cacheFolder: string, say: Say): Promise<Layer> {
  const folder = join(cacheFolder, 'gitea')
  const file = join(folder, `git-${await candidateVersion('git')}-node-${process.version}.tar.gz`)
  await mkdir(folder, { recursive: true })
  return withMachineLock(join(folder, 'lock.db'), async () => {
    if (!existsSync(file)) await fetchGit(folder, file, say)
    return layerOfGzip(await readFile(file), await readFile(`${file}.diff-id`, 'utf8'))
  })
}

async function fetchGit(folder: string, file: string, say: Say): Promise<void> {
  say('downloading git for the test image of Gitea (kept in the cache, not installed)')
  const scratch = await mkdtemp(join(folder, 'fetch-'))
  try {
    const root = join(scratch, 'root')
    await mkdir(join(root, 'usr', 'local', 'bin'), { recursive: true })
    await unpackPackages(await withLibraries(['git'], { without: ['liberror-perl'] }), scratch, root)
    await mustRun('cp', ['-L', process.execPath, join(root, 'usr', 'local', 'bin', 'node')])
    await mustRun('strip', [join(root, 'usr', 'local', 'bin', 'node')]).catch(() => {})
    const left = ['./usr/share/*', './etc', './usr/lib/*/gconv', './usr/lib/*/audit', './usr/lib/*/perl*']
    await mustRun('tar', [
      ...['-C', root, '--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'],
      ...left.map((pattern) => `--exclude=${pattern}`),
      ...['-cf', `${file}.tar`, '.'],
    ])
    const tar = await readFile(`${file}.tar`)
    await rm(`${file}.tar`)
    await writeFile(`${file}.diff-id`, diffIdOf(tar))
    await writeFile(`${file}.new`, gzipSync(tar, { level: 4 }))
    await rename(`${file}.new`, file)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The pretend Gitea as it is in this checkout: Node takes the types out. */
async function sources(): Promise<ImageFile[]> {
  const folder = join(import.meta.dirname, 'pretend-gitea')
  const names = [
    ...(await readdir(folder)).map((name) => `pretend-gitea/${name}`),
    ...['git-server.ts', 'process.ts', 'temp-folder.ts'],
  ]
  const files = await Promise.all(
    names.map(async (name) => ({
      path: `app/gitea/${name}`,
      content: await readFile(join(import.meta.dirname, name)),
    })),
  )
  const folders = ['app', 'app/gitea', 'app/gitea/pretend-gitea'].map(
    (path) => ({ path, folder: true }) as const,
  )
  return [...folders, { path: 'app/gitea/package.json', content: '{"type":"module"}\n' }, ...files]
}

const programs: ImageFile[] = [
  {
    path: 'usr/bin/entrypoint',
    mode: 0o755,
    content: `#!/bin/sh
if [ "$(id -u)" != 0 ]; then exec /usr/local/bin/gitea web; fi
# Secrets may be files for root alone: the settings are read before root is left, as in Gitea's image.
for name in $(env | sed -n 's/^\\(GITEA__[A-Za-z0-9_]*\\)__FILE=.*/\\1/p'); do
  eval "file=\\$\${name}__FILE"
  value=$(cat "$file") && export "$name=$value" && unset "\${name}__FILE"
done
mkdir -p /data/git /data/gitea /data/ssh && chown git:git /data/git /data/gitea || exit 1
exec su-exec git /usr/local/bin/gitea web
`,
  },
  {
    path: 'usr/local/bin/gitea',
    mode: 0o755,
    content: `#!/bin/sh
[ "$(id -u)" != 0 ] || { echo 'Gitea is not supposed to be run as root. Sorry.' >&2; exit 1; }
case "\${1:-}" in --version | -v) exec sed 's/.*"version":"\\([^"]*\\)".*/gitea version \\1 built with the test rig/' /etc/gitea-release ;; esac
exec node --no-warnings /app/gitea/pretend-gitea/container.ts "$@"
`,
  },
  {
    path: 'usr/local/bin/su-exec',
    mode: 0o755,
    content: `#!/bin/sh\nuser=$1; shift\nexec su -s /bin/sh -c 'exec "$0" "$@"' -- "$user" "$@"\n`,
  },
  { path: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\ngit:x:1000:1000::/data/git:/bin/sh\n' },
  { path: 'etc/group', content: 'root:x:0:\ngit:x:1000:\n' },
]

const runner = `#!/bin/sh
trap 'exit 0' TERM INT
mkdir -p /data
if [ ! -s /data/.runner ]; then
  token=\${GITEA_RUNNER_REGISTRATION_TOKEN:-}
  [ -z "\${GITEA_RUNNER_REGISTRATION_TOKEN_FILE:-}" ] || token=$(cat "$GITEA_RUNNER_REGISTRATION_TOKEN_FILE") || exit 1
  name=\${GITEA_RUNNER_NAME:-$(hostname)}
  wget -q -O /data/.runner.new --no-check-certificate --header 'Content-Type: application/json' \\
    --post-data "{\\"name\\":\\"$name\\",\\"token\\":\\"$token\\",\\"labels\\":[\\"samovar\\"]}" \\
    "\${GITEA_INSTANCE_URL%/}/api/actions/runner.v1.RunnerService/Register" ||
    { echo 'level=error msg="failed to register runner" error="runner registration token not found"' >&2; exit 1; }
  mv /data/.runner.new /data/.runner
fi
echo 'level=info msg="Runner registered successfully."'
while :; do sleep 2147483 & wait $!; done
`
