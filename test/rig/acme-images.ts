import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { debianLayer } from './debian-layer.ts'
import { baseLayer } from './images.ts'
import { needPackages, type Say } from './packages.ts'
import { mustRun } from './process.ts'
import { layerOf, pushImage } from './push-image.ts'

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * A stand-in for the official certbot image from Debian's certbot: `certbot:v2.1.0` with certbot, openssl and a shell.
 *
 * @param cacheFolder the rig's
 */
export async function pushCertbot(registry: string, cacheFolder: string, say: Say = () => {}): Promise<void> {
  const layers = [
    await baseLayer(say),
    await debianLayer(
      cacheFolder,
      {
        packages: ['certbot', 'openssl', 'media-types', 'python3-cffi-backend', 'tzdata'],
        needs: /^(?:lib(?!perl|newt|debian)|zlib|python3)/,
      },
      say,
    ),
    layerOf([
      // The stock configuration of OpenSSL lies where only the script of the package would link it.
      { path: 'usr/lib/ssl', folder: true },
      { path: 'etc/letsencrypt', folder: true },
      { path: 'var/lib/letsencrypt', folder: true },
      { path: 'var/log/letsencrypt', folder: true },
    ]),
  ]
  for (const tag of ['v2.1.0'])
    await pushImage(registry, { name: 'certbot', tag }, layers, {
      Env: [path, 'PYTHONDONTWRITEBYTECODE=1', 'LANG=C.UTF-8'],
      Entrypoint: ['certbot'],
      Volumes: { '/etc/letsencrypt': {}, '/var/lib/letsencrypt': {} },
      Labels: { 'org.opencontainers.image.version': tag },
    })
}

/** The port of Pebble's directory: `https://pebble:14000/dir`. */
export const pebblePort = 14_000

/**
 * Pebble, the ACME server for tests, as `pebble:2.4.0`. It asks for the challenge on port 80 of whatever the DNS of its
 * network says the domain is, and wants its own certificate and key at /etc/pebble/tls/{certificate,key}.pem.
 */
export async function pushPebble(registry: string, cacheFolder: string, say: Say = () => {}): Promise<void> {
  const configuration = {
    pebble: {
      listenAddress: `0.0.0.0:${pebblePort}`,
      managementListenAddress: '0.0.0.0:15000',
      certificate: '/etc/pebble/tls/certificate.pem',
      privateKey: '/etc/pebble/tls/key.pem',
      httpPort: 80,
      tlsPort: 443,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
    },
  }
  const layers = [
    await baseLayer(say),
    await debianLayer(cacheFolder, { packages: ['pebble'] }, say),
    layerOf([
      { path: 'etc/pebble', folder: true },
      { path: 'etc/pebble/pebble.json', content: JSON.stringify(configuration) },
    ]),
  ]
  await pushImage(registry, { name: 'pebble', tag: '2.4.0' }, layers, {
    // Without these it waits for up to 15 s before each check and refuses a twentieth of all nonces on purpose.
    Env: [path, 'PEBBLE_VA_NOSLEEP=1', 'PEBBLE_WFE_NONCEREJECT=0', 'PEBBLE_AUTHZREUSE=100'],
    Entrypoint: ['pebble', '-config', '/etc/pebble/pebble.json', '-dnsserver', '127.0.0.11:53'],
    Labels: { 'org.opencontainers.image.version': '2.4.0' },
  })
}

/**
 * The certificate of Pebble itself and its key, to be mounted at /etc/pebble/tls.
 *
 * @param folder is made
 * @param names under which it is called
 * @returns the file that whoever calls it has to trust
 */
export async function makePebbleCertificate(folder: string, names: string[]): Promise<string> {
  await needPackages([{ package: 'openssl', program: 'openssl', why: 'certificates of the tests' }], () => {})
  await mkdir(folder, { recursive: true })
  const certificate = join(folder, 'certificate.pem')
  await mustRun('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', '/CN=pebble', '-addext', `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`],
    ...['-keyout', join(folder, 'key.pem'), '-out', certificate],
  ])
  return certificate
}
