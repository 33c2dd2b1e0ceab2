import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { baseLayer } from './images.ts'
import { withMachineLock } from './machine-lock.ts'
import { candidateVersion, type Say, unpackPackages, withLibraries } from './packages.ts'
import { mustRun } from './process.ts'
import { layerOf, layerOfTar, pushImage } from './push-image.ts'

/**
 * A stand-in for the official nginx image from Debian's nginx package and the libraries it needs, with the
 * official image's paths: /etc/nginx/conf.d, /usr/share/nginx/html, modules (njs among them) in /usr/lib/nginx/modules,
 * logs on stdout and stderr, SIGQUIT to stop. Workers are `nobody` where nothing else is said, not `nginx`. Pushed as `nginx:1.0.0` and `nginx:1.1.0`, which differ in a label only.
 */
export async function pushNginx(registry: string, cacheFolder: string, say: Say): Promise<void> {
  const tar = await nginxTar(join(cacheFolder, 'nginx'), say)
  const layers = [await baseLayer(say), layerOfTar(await readFile(tar)), layerOf(officialFiles)]
  for (const tag of ['1.0.0', '1.1.0']) {
    await pushImage(registry, { name: 'nginx', tag }, layers, {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Cmd: ['nginx', '-g', 'daemon off;'],
      ExposedPorts: { '80/tcp': {} },
      Labels: { 'org.opencontainers.image.version': tag },
      StopSignal: 'SIGQUIT',
    })
  }
}

const officialFiles = [
  ...[
    'usr/share/nginx',
    'usr/share/nginx/html',
    'etc/nginx',
    'etc/nginx/conf.d',
    'var/log/nginx',
    'var/lib/nginx',
    'run',
  ].map((path) => ({ path, folder: true }) as const),
  {
    path: 'etc/passwd',
    content:
      'root:x:0:0:root:/root:/bin/sh\nnginx:x:101:101:nginx:/nonexistent:/bin/false\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  },
  { path: 'etc/group', content: 'root:x:0:\nnginx:x:101:\nnogroup:x:65534:\n' },
  { path: 'var/log/nginx/access.log', linkTo: '/dev/stdout' },
  { path: 'var/log/nginx/error.log', linkTo: '/dev/stderr' },
  { path: 'usr/share/nginx/html/index.html', content: '<h1>Welcome to nginx!</h1>\n' },
  {
    path: 'etc/nginx/nginx.conf',
    content: `user root;
worker_processes 1;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;
events { worker_connections 512; }
http {
  types { text/html html; application/json json; text/css css; application/javascript js; }
  default_type application/octet-stream;
  access_log /var/log/nginx/access.log;
  include /etc/nginx/conf.d/*.conf;
}
`,
  },
  {
    path: 'etc/nginx/conf.d/default.conf',
    content: 'server {\n  listen 80;\n  location / { root /usr/share/nginx/html; index index.html; }\n}\n',
  },
]

async function nginxTar(folder: string, say: Say): Promise<string> {
  const version = await candidateVersion('nginx')
  const tar = join(folder, `${version ?? 'nginx'}-njs.tar`)
  await mkdir(folder, { recursive: true })
  return withMachineLock(join(folder, 'lock.db'), async () => {
    if (existsSync(tar)) return tar
    say('downloading nginx for the test image (kept in the cache, not installed)')
    const scratch = await mkdtemp(join(folder, 'fetch-'))
    try {
      const root = join(scratch, 'root')
      await mkdir(root)
      await unpackPackages(await withLibraries(['nginx', 'libnginx-mod-http-js']), scratch, root)
      await mustRun('tar', [
        ...['-C', root, '--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'],
        ...[
          '--exclude=./usr/share/doc',
          '--exclude=./usr/share/man',
          '--exclude=./usr/share/lintian',
          '--exclude=./etc',
        ],
        ...['--exclude=./usr/lib/*/gconv', '--exclude=./usr/lib/*/audit', '--exclude=./usr/lib/*/engines-3'],
        ...['-cf', `${tar}.new`, '.'],
      ])
      await rename(`${tar}.new`, tar)
      return tar
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  })
}
