import type { Session } from './postgres-session.ts'

/**
 * The tables whose rows are in a dump: ordinary ones, also partitions and children of others, each with its own rows.
 * Not those of an extension (it brings its own rows), foreign and temporary ones; a materialized view is computed anew.
 */
const tables = `FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY n.nspname, c.relname`

/**
 * Keeps every table as it is until the transaction ends. A TRUNCATE is not subject to a snapshot: between the dump and
 * the count it would make the two differ.
 */
export async function lockTables(session: Session): Promise<void> {
  await session.ask(
    `SELECT format('LOCK TABLE ONLY %I.%I IN ACCESS SHARE MODE', n.nspname, c.relname) ${tables} \\gexec`,
  )
}

/** Rows of every table as the session's transaction sees them: `schema.table` (quoted where SQL needs it) -> rows. */
export async function countRows(session: Session): Promise<Record<string, number>> {
  const counts = await session.ask(
    `SELECT format('SELECT json_build_array(%L, count(*)) FROM ONLY %I.%I', format('%I.%I', n.nspname, c.relname),
      n.nspname, c.relname) ${tables} \\gexec
    SELECT json_build_array('pg_catalog.pg_largeobject_metadata', count(*))
      FROM pg_catalog.pg_largeobject_metadata HAVING count(*) > 0;`,
  )
  return Object.fromEntries(counts.map((line) => JSON.parse(line) as [string, number]))
}

/** How the rows of a restored database differ from the recorded ones, a sentence for each table; empty: not at all. */
export function rowDifferences(recorded: Record<string, number>, found: Record<string, number>): string[] {
  const names = [...new Set([...Object.keys(recorded), ...Object.keys(found)])].toSorted()
  return names.flatMap((name) => {
    const [before, now] = [recorded[name], found[name]]
    if (before === now) return []
    if (now === undefined) return [`table ${name} is missing (it had ${before} rows)`]
    if (before === undefined) return [`table ${name} with ${now} rows was not in the backup`]
    return [`table ${name} has ${now} rows, ${before} were backed up`]
  })
}
