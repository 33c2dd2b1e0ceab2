import { keyName } from './backup/encryption.ts'
import { findServer } from './backup/postgres.ts'
import { dataProblem } from './data-of.ts'
import { check, type Finding, ok } from './doctor-finding.ts'
import { SamovarError } from './errors.ts'
import type { Loaded } from './load.ts'
import type { Parts } from './parts.ts'
import { serverOf } from './rollout/data.ts'
import { backupsAt } from './stored-backups.ts'

/** Everything a backup and a restore need: stores that take and give, the key, running database servers. */
export async function* examineBackups(parts: Parts, loaded: Loaded): AsyncGenerator<Finding> {
  const { host, services } = loaded.state
  const withData = Object.values(services).filter((policy) => policy.data.length > 0)
  for (const { service } of withData) {
    const problem = dataProblem(loaded, service)
    if (problem === null) continue
    const [said = '', next] = problem.split('; next: ')
    yield { name: 'data', ok: false, said, next: next ?? null }
  }
  if (host.backup === null) {
    if (withData.length === 0) yield ok('backups', 'no service names `data:`, so none are taken')
    return
  }
  yield* examineStores(parts, loaded)
  const servers = new Set(
    withData.flatMap(({ data }) => data.flatMap((part) => ('postgres' in part ? [part.postgres] : []))),
  )
  for (const server of servers) {
    yield await check(
      'database server',
      (version) => `${server} is PostgreSQL ${version}`,
      async () => {
        const current = serverOf(server, await parts.engine.observe(host.project))
        return (await findServer(parts.engine, current.instance)).version
      },
    )
  }
}

async function* examineStores(parts: Parts, { state: { host } }: Loaded): AsyncGenerator<Finding> {
  const stores = await parts.backups.open(host.backup?.stores ?? [])
  for (const { store, policy } of stores) {
    const optional = policy.required ? '' : ', not required'
    yield await check('store', `${store.name} takes objects and gives them back${optional}`, () =>
      store.check(),
    )
  }
  const { key } = parts.backups
  const named = key === null ? null : keyName(key)
  yield await check(
    'backup key',
    (said) => said,
    async () => {
      const { listed } = await backupsAt(parts, host)
      const made = listed.backups[0]?.manifest.encryption
      if (made !== undefined && made !== null && made.key !== named)
        throw new SamovarError(
          'backup-key',
          named === null
            ? `the newest backup is encrypted with key ${made.key}, and SAMOVAR_BACKUP_KEY is not set`
            : `the newest backup is encrypted with key ${made.key}, and SAMOVAR_BACKUP_KEY is key ${named}`,
        )
      return named === null
        ? 'SAMOVAR_BACKUP_KEY is not set: backups are not encrypted'
        : `backups are encrypted with key ${named}; keep a copy of it elsewhere, without it they cannot be read`
    },
  )
}
