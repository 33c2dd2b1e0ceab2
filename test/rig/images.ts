import { readFile } from 'node:fs/promises'
import { findProgram, needPackages, type Say } from './packages.ts'
import { mustRun } from './process.ts'
import { type ImageConfiguration, type Layer, layerOf, pushImage } from './push-image.ts'

/**
 * The images of the tests: a small web server in several versions, good and bad ones, from the statically linked
 * busybox of this machine. `/version` answers `{"version":"1.1.0"}` and `/healthz` `{"status":"pass"}`, on port 8080.
 */
export const behaviours = {
  good: 'serves and is healthy',
  unhealthy: 'starts, but /healthz answers 503',
  exits: 'writes why and ends with exit code 3 at once',
  slow: 'listens only after 5 seconds',
  sickens: 'is healthy for 5 seconds, then /healthz answers 503',
  stubborn: 'is healthy and ignores SIGTERM',
} as const
export type Behaviour = keyof typeof behaviours

/** Versions of `web` that every run has. */
export const webVersions: Record<string, Behaviour> = {
  '1.0.0': 'good',
  '1.1.0': 'good',
  '1.2.0': 'good',
  '1.3.0': 'stubborn',
  '2.0.0': 'unhealthy',
  '2.1.0': 'exits',
  '2.2.0': 'slow',
  '2.3.0': 'sickens',
}

/**
 * The shell stays the first process, since a first process without a handler does not hear SIGTERM. The healthy
 * server is httpd; what has to answer 503 is a script behind nc, as httpd cannot say 503 for a plain path.
 */
const entrypoint = `#!/bin/sh
version=$(cat /etc/web-version)
behaviour=$(cat /etc/web-behaviour)
[ "$behaviour" = stubborn ] && trap '' TERM || trap 'echo "web $version: bye"; exit 0' TERM INT
serve() { httpd -f -p 8080 -h /www & server=$!; echo "web $version: listening on 8080"; }
fall_sick() { nc -ll -p 8080 -e /bin/web-sick & server=$!; echo "web $version: database schema 41 is newer than 40, answering 503"; }
case "$behaviour" in
  exits) echo "web $version: cannot read the setting GREETING" >&2; exit 3 ;;
  unhealthy) fall_sick ;;
  slow) echo "web $version: migrating"; sleep 5 & wait $!; serve ;;
  sickens) serve; sleep 5 & wait $!; kill $server; wait $server; fall_sick ;;
  *) serve ;;
esac
while :; do wait $server; kill -0 $server 2>/dev/null || exit 1; done
`

const sickAnswer = `#!/bin/sh
read -r method path rest
while read -r header && [ "$header" != "$(printf '\\r')" ]; do :; done
case "$path" in
  /version*) status='200 OK'; body=$(cat /www/version) ;;
  *) status='503 Service Unavailable'; body='{"status":"fail"}' ;;
esac
printf 'HTTP/1.1 %s\\r\\nContent-Type: application/json\\r\\nContent-Length: %s\\r\\nConnection: close\\r\\n\\r\\n%s' "$status" \${#body} "$body"
`

let base: Promise<Layer> | undefined

/** busybox under all its names, the folders a program expects, and what the images run. */
export function baseLayer(say: Say): Promise<Layer> {
  base ??= makeBaseLayer(say)
  return base
}

async function makeBaseLayer(say: Say): Promise<Layer> {
  await needPackages(
    [{ package: 'busybox-static', program: 'busybox', why: 'what the test images run' }],
    say,
  )
  const program = findProgram('busybox') ?? 'busybox'
  const names = (await mustRun(program, ['--list'])).trim().split('\n')
  const folders = ['bin', 'etc', 'www', 'www/cgi-bin', 'var', 'var/log', 'root', 'data']
  return layerOf([
    ...folders.map((path) => ({ path, folder: true }) as const),
    { path: 'tmp', folder: true, mode: 0o1777 },
    { path: 'bin/busybox', content: await readFile(program), mode: 0o755 },
    ...names.filter((name) => name !== 'busybox').map((name) => ({ path: `bin/${name}`, linkTo: 'busybox' })),
    { path: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/www:/bin/sh\n' },
    { path: 'etc/group', content: 'root:x:0:\nweb:x:1000:\nextra:x:1001:\n' },
    { path: 'bin/web', content: entrypoint, mode: 0o755 },
    { path: 'bin/web-sick', content: sickAnswer, mode: 0o755 },
    // What the process sees: for tests of environment, user and working directory.
    {
      path: 'www/cgi-bin/environment',
      content: "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'; env; id\n",
      mode: 0o755,
    },
  ])
}

const seconds = 1_000_000_000
const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Pushes one more version of the web server; a few milliseconds.
 *
 * @param options.name repository in the registry, `web` when not named
 * @param options.extra changes of the image's configuration (Env, Volumes, Labels, ...)
 * @returns the digest of the image
 */
export async function pushWeb(
  registry: string,
  version: string,
  behaviour: Behaviour,
  options: { name?: string; tag?: string; extra?: ImageConfiguration } = {},
): Promise<string> {
  const layers = [
    await baseLayer(() => {}),
    layerOf([
      { path: 'etc/web-version', content: version },
      { path: 'etc/web-behaviour', content: behaviour },
      { path: 'www/version', content: `{"version":"${version}"}\n` },
      { path: 'www/healthz', content: '{"status":"pass"}\n' },
      { path: 'www/index.html', content: `<h1>web ${version}</h1>\n` },
    ]),
  ]
  const test = ['CMD-SHELL', 'wget -q -O /dev/null http://127.0.0.1:8080/healthz']
  return pushImage(registry, { name: options.name ?? 'web', tag: options.tag ?? version }, layers, {
    Env: [path],
    Cmd: ['/bin/web'],
    ExposedPorts: { '8080/tcp': {} },
    Labels: { 'org.opencontainers.image.version': version },
    Healthcheck: {
      Test: test,
      Interval: seconds,
      Timeout: 2 * seconds,
      StartPeriod: seconds / 2,
      Retries: 3,
    },
    ...options.extra,
  })
}

/** Pushes everything a run starts with: the versions of `web`, `job`, `store` and `tools`. */
export async function pushTestImages(registry: string, say: Say): Promise<void> {
  const layer = await baseLayer(say)
  const one = (name: string, tag: string, configuration: ImageConfiguration) =>
    pushImage(registry, { name, tag }, [layer], { Env: [path], ...configuration })
  for (const [version, behaviour] of Object.entries(webVersions)) await pushWeb(registry, version, behaviour)
  await one('job', '1.0.0', { Cmd: ['/bin/sh', '-c', 'echo "job: done"'] })
  await one('job', '2.0.0', { Cmd: ['/bin/sh', '-c', 'echo "job: failed" >&2; exit 4'] })
  await one('tools', '1.0.0', { Cmd: ['/bin/sh', '-c', "trap 'exit 0' TERM; sleep 2147483647 & wait"] })
  await pushWeb(registry, '1.0.0', 'good', { name: 'store', extra: { Volumes: { '/data': {} } } })
  await pushWeb(registry, '1.1.0', 'good', { name: 'store', extra: { Volumes: { '/data': {} } } })
}
