import type { DatabaseFacts, DatabasePart, DatabaseProperties } from './manifest.ts'
import { type DatabaseServer, identifier, literal, query, type Session } from './postgres-session.ts'

/** What a database is like, from the session that is in it. `sizeBytes` is its size on the disk of the server. */
export async function readFacts(
  session: Session,
  major: number,
): Promise<{ facts: DatabaseFacts; sizeBytes: number }> {
  const [line = '{}'] = await session.ask(factsQuery(major))
  const { sizeBytes, access, settings, ...seen } = JSON.parse(line) as SeenFacts
  const { owner, connectionLimit, icuRules, ...facts } = seen
  const properties: DatabaseProperties = {
    ...{ owner, connectionLimit, icuRules, access },
    settings: (settings ?? []).map(({ role, setting }) => ({
      role,
      name: setting.slice(0, setting.indexOf('=')),
      value: setting.slice(setting.indexOf('=') + 1),
    })),
  }
  return { facts: { major, ...facts, properties }, sizeBytes }
}

type SeenFacts = Omit<DatabaseFacts, 'properties' | 'major'> &
  Omit<DatabaseProperties, 'settings'> & {
    sizeBytes: number
    settings: { role: string | null; setting: string }[] | null
  }

/** Columns by major: ICU as the locale of a database came with 15, its own name for that and the builtin one with 17. */
function factsQuery(major: number): string {
  const provider =
    major < 15 ? `'libc'` : `CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END`
  const locale = major < 15 ? 'NULL' : major < 17 ? 'daticulocale' : 'datlocale'
  return `SELECT json_build_object('encoding', pg_encoding_to_char(encoding), 'collate', datcollate, 'ctype', datctype,
    'localeProvider', ${provider}, 'locale', ${locale}, 'sizeBytes', pg_database_size(d.oid),
    'owner', pg_get_userbyid(datdba), 'connectionLimit', datconnlimit, 'icuRules', ${major < 16 ? 'NULL' : 'daticurules'},
    'access', CASE WHEN datacl IS NOT NULL THEN (SELECT coalesce(json_agg(json_build_object('role',
        CASE WHEN grantee <> 0 THEN pg_get_userbyid(grantee) END, 'privilege', privilege_type, 'grantable', is_grantable)), '[]')
      FROM aclexplode(datacl)) END,
    'settings', (SELECT json_agg(json_build_object('role', CASE WHEN setrole <> 0 THEN pg_get_userbyid(setrole) END,
        'setting', setting) ORDER BY setrole, setting)
      FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS setting WHERE setdatabase = d.oid))
    FROM pg_catalog.pg_database d WHERE datname = current_database();`.replaceAll('\n', ' ')
}

/** An empty database with the encoding, the locale and the owner of the backed up one. */
export async function createDatabase(
  server: DatabaseServer,
  name: string,
  part: DatabasePart,
): Promise<void> {
  const owner = part.properties?.owner ?? part.user
  const words = ['CREATE DATABASE', identifier(name), 'OWNER', identifier(owner), 'TEMPLATE template0']
  words.push(
    'ENCODING',
    literal(part.encoding),
    'LC_COLLATE',
    literal(part.collate),
    'LC_CTYPE',
    literal(part.ctype),
  )
  if (server.major >= 15) words.push('LOCALE_PROVIDER', part.localeProvider)
  if (part.localeProvider === 'icu') words.push('ICU_LOCALE', literal(part.locale ?? ''))
  if (part.localeProvider === 'builtin') words.push('BUILTIN_LOCALE', literal(part.locale ?? ''))
  const rules = part.properties?.icuRules ?? null
  if (rules !== null) words.push('ICU_RULES', literal(rules))
  await query(server, 'postgres', words.join(' '))
}

/** Its rights, limit and settings, which pg_restore does not set in a database of another name. */
export async function setProperties(
  server: DatabaseServer,
  name: string,
  properties: DatabaseProperties,
): Promise<void> {
  const database = identifier(name)
  const statements = [`ALTER DATABASE ${database} CONNECTION LIMIT ${Math.trunc(properties.connectionLimit)}`]
  if (properties.access !== null) {
    statements.push(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC, ${identifier(properties.owner)}`)
    for (const { role, privilege, grantable } of properties.access) {
      if (!['CREATE', 'TEMPORARY', 'CONNECT'].includes(privilege)) continue
      const to = role === null ? 'PUBLIC' : identifier(role)
      statements.push(
        `GRANT ${privilege} ON DATABASE ${database} TO ${to}${grantable ? ' WITH GRANT OPTION' : ''}`,
      )
    }
  }
  for (const { role, name: setting, value } of properties.settings) {
    const whose = role === null ? `DATABASE ${database}` : `ROLE ${identifier(role)} IN DATABASE ${database}`
    statements.push(...settingOf(whose, setting, value))
  }
  await query(server, 'postgres', statements.join('; '))
}

/** A list that is written as one text would become one long name; read back from the session it stays a list. */
const lists = ['search_path', 'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries']

function settingOf(whose: string, setting: string, value: string): string[] {
  const written = setting.split('.').map(identifier).join('.')
  if (!lists.includes(setting)) return [`ALTER ${whose} SET ${written} TO ${literal(value)}`]
  return [
    `SELECT NULL FROM set_config(${literal(setting)}, ${literal(value)}, false)`,
    `ALTER ${whose} SET ${written} FROM CURRENT`,
  ]
}
