import { expect, test } from 'vitest'
import { missingRoles } from '../../reconciler/backup/postgres-roles.ts'

const dump = `--
-- PostgreSQL database cluster dump
--

\\restrict vUfsPu3vXc
SET default_transaction_read_only = off;
CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:x';
CREATE ROLE "Te ""am";
ALTER ROLE "Te ""am" WITH NOLOGIN;
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER PASSWORD 'SCRAM-SHA-256$4096:y';
ALTER ROLE app SET search_path TO 'a', 'b';
ALTER ROLE app SET "my.text" TO 'first
second';
GRANT "Te ""am" TO app WITH ADMIN OPTION GRANTED BY postgres;
GRANT "Te ""am" TO app WITH INHERIT TRUE GRANTED BY postgres;
CREATE TABLESPACE fast OWNER app LOCATION '/fast';
\\unrestrict vUfsPu3vXc
--
-- PostgreSQL database cluster dump complete
--
`

test('only roles that are missing are created, each with what belongs to it, and nobody is named as grantor', () => {
  expect(missingRoles(dump, new Set(['postgres']))).toEqual([
    'CREATE ROLE app;',
    "ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:x';",
    'CREATE ROLE "Te ""am";',
    'ALTER ROLE "Te ""am" WITH NOLOGIN;',
    "ALTER ROLE app SET search_path TO 'a', 'b';",
    'GRANT "Te ""am" TO app WITH ADMIN OPTION;',
    'GRANT "Te ""am" TO app WITH INHERIT TRUE;',
  ])
})

test('a role that is there keeps its password, also when another one is missing', () => {
  const statements = missingRoles(dump, new Set(['postgres', 'app']))
  expect(statements.join('\n')).not.toContain('PASSWORD')
  expect(statements).toContain('GRANT "Te ""am" TO app WITH ADMIN OPTION;')
  expect(missingRoles(dump, new Set(['postgres', 'app', 'Te "am']))).toEqual([])
})

test('a dump of roles that was cut is refused', () => {
  expect(() => missingRoles(dump.slice(0, -100), new Set())).toThrow('the dump of the roles is cut short')
})
