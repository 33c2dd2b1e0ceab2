import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { debianLayer } from './debian-layer.ts'
import { baseLayer } from './images.ts'
import { withMachineLock } from './machine-lock.ts'
import { candidateVersion, onlySuite, type Say, unpackPackages, withLibraries } from './packages.ts'
import { mustRun } from './process.ts'
import { diffIdOf, type ImageFile, type Layer, layerOf, layerOfGzip, pushImage } from './push-image.ts'

/**
 * A stand-in for the official PostgreSQL 15 image from Debian's packages, with the official image's environment,
 * paths, volume, stop signal and first start: a temporary server on the Unix socket only, then the real one.
 *
 * - `postgres:15.1` and `postgres:15.2` differ in a label and in PG_VERSION only
 * - `postgres:15.9-bad` starts and then ends with exit code 1, whatever its command is
 * - `postgres:16.1` says PG_MAJOR=16, for what must refuse it; it is the same program
 *
 * Only tests that need it call this. The first run of a machine downloads 45 MB; a further one sends what the
 * registry does not have yet.
 *
 * @param registry `127.0.0.1:PORT`
 * @param cacheFolder the rig's
 */
export async function pushPostgres(
  registry: string,
  cacheFolder: string,
  say: Say = () => {},
): Promise<void> {
  const folder = join(cacheFolder, 'postgres')
  const layers = [
    await baseLayer(say),
    await postgresLayer(cacheFolder, say),
    layerOf(officialFiles('var/lib/postgresql/data')),
  ]
  const one = (tag: string, entrypoint = ['docker-entrypoint.sh']) =>
    pushImage(registry, { name: 'postgres', tag }, layers, {
      Env: [...environmentOf(tag, postgresPath), 'PGDATA=/var/lib/postgresql/data'],
      Entrypoint: entrypoint,
      Cmd: ['postgres'],
      ExposedPorts: { '5432/tcp': {} },
      Volumes: { '/var/lib/postgresql/data': {} },
      Labels: { 'org.opencontainers.image.version': tag },
      StopSignal: 'SIGINT',
    })
  // One at a time: the registry answers a second upload of a blob that is under way with an error.
  await withMachineLock(join(folder, 'push.lock.db'), async () => {
    for (const tag of ['15.1', '15.2', '16.1']) await one(tag)
    await one('15.9-bad', ['/bin/sh', '-c', 'echo "FATAL:  could not load library" >&2; exit 1'])
  })
}

/**
 * A stand-in for the official PostgreSQL 18 image, whose volume is the folder above: `postgres:18.5` and `postgres:18.6`
 * differ in a label and in PG_VERSION only, `postgres:18.9-bad` starts and then ends with exit code 1. The program is
 * that of Debian's next release.
 *
 * @param registry `127.0.0.1:PORT`
 * @param cacheFolder the rig's
 */
export async function pushPostgres18(
  registry: string,
  cacheFolder: string,
  say: Say = () => {},
): Promise<void> {
  const wanted = { packages: ['postgresql-18', 'postgresql-client-18', 'libc-bin', 'tzdata'] as const }
  const layers = [
    await baseLayer(say),
    await debianLayer(cacheFolder, { ...wanted, packages: [...wanted.packages], suite: 'forky' }, say),
    // Debian's newer packages leave these two links to the installation.
    layerOf([
      ...officialFiles('var/lib/postgresql'),
      { path: 'lib', linkTo: 'usr/lib' },
      { path: 'lib64', linkTo: 'usr/lib64' },
    ]),
  ]
  const path = postgresPath.replace('/15/', '/18/')
  await withMachineLock(join(cacheFolder, 'postgresql-18', 'push.lock.db'), async () => {
    for (const tag of ['18.5', '18.6', '18.9-bad'])
      await pushImage(registry, { name: 'postgres', tag }, layers, {
        Env: [...environmentOf(tag, path), 'PGDATA=/var/lib/postgresql/18/docker'],
        Entrypoint: tag.endsWith('-bad')
          ? ['/bin/sh', '-c', 'echo "FATAL:  could not load library" >&2; exit 1']
          : ['docker-entrypoint.sh'],
        Cmd: ['postgres'],
        ExposedPorts: { '5432/tcp': {} },
        Volumes: { '/var/lib/postgresql': {} },
        Labels: { 'org.opencontainers.image.version': tag },
        StopSignal: 'SIGINT',
      })
  })
}

const environmentOf = (tag: string, path: string): string[] => [
  ...[path, 'LANG=C.UTF-8', `PG_MAJOR=${tag.split('.')[0]}`, `PG_VERSION=${tag}-1.pgdg120+1`],
]

/** For every image that has PostgreSQL's programs. */
export const postgresPath =
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin'

/** PostgreSQL's server and clients with the libraries they need; cached compressed. */
export async function postgresLayer(cacheFolder: string, say: Say): Promise<Layer> {
  const folder = join(cacheFolder, 'postgres')
  const version = (await candidateVersion('postgresql-15')) ?? 'bookworm'
  const file = join(folder, `${version}.tar.gz`)
  await mkdir(folder, { recursive: true })
  return withMachineLock(join(folder, 'lock.db'), async () => {
    if (!existsSync(file)) await fetchPostgres(folder, file, say)
    return layerOfGzip(await readFile(file), await readFile(`${file}.diff-id`, 'utf8'))
  })
}

async function fetchPostgres(folder: string, file: string, say: Say): Promise<void> {
  say('downloading PostgreSQL 15 for the test image (45 MB; kept in the cache, not installed)')
  const scratch = await mkdtemp(join(folder, 'fetch-'))
  try {
    const isKnown = (await candidateVersion('postgresql-15')) !== null
    const apt = isKnown ? [] : await onlySuite('bookworm', scratch)
    const root = join(scratch, 'root')
    await mkdir(root)
    const wanted = ['postgresql-15', 'postgresql-client-15']
    // LLVM would be twice as much as all the rest; without it there is no just-in-time compilation.
    const packages = await withLibraries(wanted, { apt, without: ['libllvm14'] })
    // The locale C.UTF-8 is in libc-bin.
    await unpackPackages([...packages, 'libc-bin', 'tzdata'], scratch, root, apt)
    await writeArchive(root, file)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function writeArchive(root: string, file: string): Promise<void> {
  const left = ['./usr/share/doc', './usr/share/man', './usr/share/lintian', './usr/share/locale', './etc']
  left.push(
    './usr/lib/*/gconv',
    './usr/lib/*/audit',
    './usr/lib/*/engines-3',
    './usr/share/postgresql/15/man',
  )
  left.push(
    './usr/lib/postgresql/15/lib/bitcode',
    './usr/lib/postgresql/15/lib/llvmjit*',
    './usr/lib/postgresql/15/lib/pgxs',
  )
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
}

/**
 * As the official one behaves: https://github.com/docker-library/postgres, docker-entrypoint.sh. What is left out:
 * POSTGRES_INITDB_WALDIR and everything but SQL in docker-entrypoint-initdb.d.
 */
const entrypoint = `#!/bin/sh
set -eu
case "\${1:-}" in -*) set -- postgres "$@" ;; esac
if [ -n "\${POSTGRES_PASSWORD_FILE:-}" ]; then
  POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  export POSTGRES_PASSWORD
  unset POSTGRES_PASSWORD_FILE
fi
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  exec su -s /bin/sh -c 'exec "$0" "$@"' -- postgres /usr/local/bin/docker-entrypoint.sh "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  method=\${POSTGRES_HOST_AUTH_METHOD:-} password=\${POSTGRES_PASSWORD:-}
  user=\${POSTGRES_USER:-postgres} && database=\${POSTGRES_DB:-$user}
  if [ -z "$password" ] && [ "$method" != trust ]; then
    echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
    exit 1
  fi
  (umask 077 && printf '%s\\n' "$password" >/tmp/password)
  set -f; initdb --username="$user" \${password:+--pwfile=/tmp/password} \${POSTGRES_INITDB_ARGS:-}; set +f
  rm /tmp/password
  printf '\\nhost all all all %s\\n' "\${method:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  pg_ctl -w -o "-c listen_addresses=''" start
  sql() { psql -X -q -v ON_ERROR_STOP=1 -U "$user" "$@"; }
  [ "$database" = postgres ] || echo 'CREATE DATABASE :"name";' | sql -d postgres -v name="$database"
  for file in /docker-entrypoint-initdb.d/*.sql; do [ ! -e "$file" ] || sql -d "$database" -f "$file"; done
  pg_ctl -m fast -w stop
  echo 'PostgreSQL init process complete; ready for start up.'
fi
exec "$@"
`

/** @param volume where the image keeps its data */
const officialFiles = (volume: string): ImageFile[] => [
  ...['usr/local', 'usr/local/bin', 'var/lib', 'docker-entrypoint-initdb.d', 'run'].map(
    (path) => ({ path, folder: true }) as const,
  ),
  { path: volume, folder: true, mode: 0o1777 } as const,
  { path: 'var/run', folder: true } as const,
  { path: 'var/run/postgresql', folder: true, mode: 0o3777 } as const,
  {
    path: 'etc/passwd',
    content: 'root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n',
  },
  { path: 'etc/group', content: 'root:x:0:\npostgres:x:999:\n' },
  { path: 'usr/local/bin/docker-entrypoint.sh', content: entrypoint, mode: 0o755 },
]
