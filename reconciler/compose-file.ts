import { randomBytes } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { documentOf } from './compose/model.ts'
import { referenceOf } from './pinned-images.ts'
import type { Plan } from './plan/plan.ts'
import { type ComposeDocument, withFormer } from './secrets/former-services.ts'
import type { Targets } from './targets.ts'

/** What an operator gives to `docker compose -f`; its path stands in Compose's labels. */
export const composeFilePath = (stateDir: string): string => join(stateDir, 'compose.json')

/**
 * Writes STATE_DIR/compose.json: the rendered model, with the image that runs where a change is held (quarantined,
 * waiting for its window). An operator's `docker compose up` must not roll out what Samovar just put back, and a service
 * whose secret is missing stays in the file as it was.
 */
export async function writeComposeFile(stateDir: string, targets: Targets, plan: Plan): Promise<void> {
  const services = { ...targets.model.services }
  for (const change of plan.changes) {
    const service = services[change.service]
    const running = change.current?.image
    if (change.held === null || service === undefined || running === undefined || running.digest === '')
      continue
    services[change.service] = { ...service, image: referenceOf(running) }
  }
  const file = composeFilePath(stateDir)
  const document = documentOf({ ...targets.model, services }) as ComposeDocument
  const complete =
    targets.missing.length === 0 ? document : withFormer(document, await formerAt(file), targets)
  await replaceFile(file, JSON.stringify(complete, null, 2))
}

async function formerAt(file: string): Promise<ComposeDocument | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as ComposeDocument
  } catch {
    return null
  }
}

/** Atomic; readable for the owner only, since the model holds resolved secrets. Left alone when it says so already. */
export async function replaceFile(file: string, text: string): Promise<void> {
  if ((await readFile(file, 'utf8').catch(() => null)) === text) return
  const temporary = `${file}.${randomBytes(4).toString('hex')}`
  await writeFile(temporary, text, { mode: 0o600, flush: true })
  await rename(temporary, file)
}
