import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

/**
 * Keeps a file as an artifact of the run of Gitea Actions that this is called in, without an action for it: Gitea
 * answers the older artifact requests of its runners, and takes the job's token for them.
 * Source: routers/api/actions/artifacts.go of Gitea, 1.22 to current.
 * Usage: upload-log.ts NAME FILE, with TOKEN, GITHUB_SERVER_URL and GITHUB_RUN_ID
 */
const [name, file] = process.argv.slice(2)
const { TOKEN: token, GITHUB_SERVER_URL: server, GITHUB_RUN_ID: run } = process.env
if (!name || !file || !token || !server || !run) {
  console.error('upload-log.ts NAME FILE, with TOKEN, GITHUB_SERVER_URL and GITHUB_RUN_ID in the environment')
  process.exit(1)
}
const bytes = readFileSync(file)
const artifacts = `${server.replace(/\/+$/, '')}/api/actions_pipeline/_apis/pipelines/workflows/${run}/artifacts`

// The address that Gitea answers is made of the name alone, and may begin with a host that is not reached from here.
await ask('POST', artifacts, JSON.stringify({ Type: 'actions_storage', Name: name }))
const place = createHash('md5').update(name).digest('hex')
const path = encodeURIComponent(`${name}/${basename(file)}`)
await ask('PUT', `${artifacts}/${place}/upload?itemPath=${path}`, bytes, {
  'content-type': 'application/octet-stream',
  'content-range': `bytes 0-${Math.max(0, bytes.length - 1)}/${bytes.length}`,
  'x-tfs-filelength': String(bytes.length),
  'x-actions-results-md5': createHash('md5').update(bytes).digest('base64'),
})
await ask(
  'PATCH',
  `${artifacts}?artifactName=${encodeURIComponent(name)}`,
  JSON.stringify({ Size: bytes.length }),
)
console.log(`${file} (${bytes.length} bytes) is kept as the artifact ${name} of this run`)

async function ask(
  method: string,
  url: string,
  body: string | Buffer<ArrayBuffer>,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): Promise<void> {
  const answer = await fetch(url, { method, body, headers: { ...headers, authorization: `Bearer ${token}` } })
  if (answer.ok) return
  console.error(
    `${method} ${new URL(url).pathname}: HTTP ${answer.status}: ${(await answer.text()).slice(0, 200)}`,
  )
  process.exit(1)
}
