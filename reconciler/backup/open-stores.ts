import type { StorePolicy } from '../desired-state.ts'
import type { Settings } from '../settings.ts'
import { fileStore } from './file-store.ts'
import type { Store } from './store.ts'

export type OpenStore = { store: Store; policy: StorePolicy }

/**
 * The stores of a host, in the order of host.yaml. Nothing is read or written yet; `Store.check` does that. The S3
 * client is loaded only for a host that has such a store.
 */
export async function openStores(
  policies: StorePolicy[],
  settings: Pick<Settings, 's3Endpoint' | 'storeTimeoutMs'>,
): Promise<OpenStore[]> {
  const opened: OpenStore[] = []
  for (const policy of policies) opened.push({ store: await openStore(policy, settings), policy })
  return opened
}

async function openStore(
  policy: StorePolicy,
  settings: Pick<Settings, 's3Endpoint' | 'storeTimeoutMs'>,
): Promise<Store> {
  if (policy.kind === 'file') return fileStore({ folder: policy.folder })
  const { s3Store } = await import('./s3-store.ts')
  return s3Store({
    bucket: policy.bucket,
    prefix: policy.prefix,
    region: policy.region,
    endpoint: settings.s3Endpoint,
    timeoutMs: settings.storeTimeoutMs,
  })
}
