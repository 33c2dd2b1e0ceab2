import { join } from 'node:path'
import { baseLayer } from './images.ts'
import { withMachineLock } from './machine-lock.ts'
import type { Say } from './packages.ts'
import { postgresLayer, postgresPath } from './postgres-image.ts'
import { layerOf, pushImage } from './push-image.ts'

/**
 * `notes`, an application with a PostgreSQL database and a volume on /data, which migrates both when it starts and
 * refuses what is newer than itself, as Gitea does. Environment: DB_HOST, DB_USER, DB_NAME, DB_PASSWORD. Port 8080:
 *
 * - `GET /version` `{"version":"1.0.0"}`, `GET /healthz` 200 or 503
 * - `POST /notes?text=..` (or GET) writes a row and the file /data/notes/ID.txt; who sees the row finds the file
 * - `GET /count` `{"rows":n,"files":n}`, `GET /contents` each row and each file with its MD5
 *
 * `schema` is what it migrates to. Versions 1.0.0 and 1.1.0 have 1; 2.0.0 migrates to 2 and then answers 503 on
 * /healthz; 2.1.0 migrates to 2 and is healthy.
 *
 * @param registry `127.0.0.1:PORT`
 * @param cacheFolder the rig's
 */
export async function pushNotes(registry: string, cacheFolder: string, say: Say = () => {}): Promise<void> {
  const layers = [await baseLayer(say), await postgresLayer(cacheFolder, say), layerOf(programs)]
  await withMachineLock(join(cacheFolder, 'postgres', 'push.lock.db'), async () => {
    for (const [tag, version] of Object.entries(notesVersions)) {
      const own = layerOf([
        { path: 'etc/notes', content: `version=${tag} schema=${version.schema} sick=${version.sick}\n` },
      ])
      await pushImage(registry, { name: 'notes', tag }, [...layers, own], {
        Env: [postgresPath, 'DB_HOST=postgres', 'DB_USER=notes', 'DB_NAME=notes'],
        Cmd: ['/bin/notes'],
        ExposedPorts: { '8080/tcp': {} },
        Labels: { 'org.opencontainers.image.version': tag },
        Healthcheck: {
          Test: ['CMD-SHELL', 'wget -q -O /dev/null http://127.0.0.1:8080/healthz'],
          Interval: second,
          Timeout: 2 * second,
          StartPeriod: second / 2,
          Retries: 3,
        },
      })
    }
  })
}

const second = 1_000_000_000

export const notesVersions: Record<string, { schema: 1 | 2; sick: boolean }> = {
  '1.0.0': { schema: 1, sick: false },
  '1.1.0': { schema: 1, sick: false },
  '2.0.0': { schema: 2, sick: true },
  '2.1.0': { schema: 2, sick: false },
}

/** The shell stays the first process and waits for children only, so that SIGTERM is heard at once. */
const start = `#!/bin/sh
trap 'echo "notes: bye"; exit 0' TERM INT
. /etc/notes
export PGHOST="$DB_HOST" PGUSER="$DB_USER" PGDATABASE="$DB_NAME" PGPASSWORD="\${DB_PASSWORD:-}" PGCONNECT_TIMEOUT=5
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" & wait $!; }
refuse() { echo "notes $version: $1" >&2; exit 1; }
tries=0
until sql -c 'select 1' >/dev/null 2>&1; do
  tries=$((tries + 1)); [ $tries -le 150 ] || refuse "the database at $DB_HOST does not answer"
  sleep 0.2 & wait $!
done
mkdir -p /data/notes
sql -c "create table if not exists version (v int); create table if not exists note
  (id serial primary key, text text, at timestamptz default now());
  insert into version select 1 where not exists (select from version)" 2>/dev/null || refuse 'the database is read only'
if [ ! -e /data/format ]; then echo 1 >/data/format; echo old >/data/old-format-file; fi
was=$(psql -X -A -t -c 'select v from version') format=$(cat /data/format)
[ "$was" -le $schema ] || refuse "database schema $was is newer than $schema; a newer database cannot be used by this release"
[ "$format" -le $schema ] || refuse "the files have format $format, which is newer than $schema"
if [ "$was" -lt $schema ]; then
  echo "notes $version: migrating from $was to $schema"
  sql -c "begin; alter table note add column author text not null default 'nobody'; update version set v = $schema; commit" ||
    refuse 'the migration failed'
fi
if [ "$format" -lt $schema ]; then rm -f /data/old-format-file; echo $schema >/data/format; fi
nc -ll -p 8080 -e /bin/notes-answer & server=$!
echo "notes $version: listening on 8080"
while :; do wait $server; kill -0 $server 2>/dev/null || exit 1; done
`

/** The file is written before the row is committed; psql goes on only when that ended well. */
const addition = `begin;
insert into note (text) values (:'text') returning id \\gset
\\setenv NOTE_ID :id
\\set written \`printf '%s' "$NOTE_TEXT" >"/data/notes/.$NOTE_ID" && mv "/data/notes/.$NOTE_ID" "/data/notes/$NOTE_ID.txt" && printf true\`
\\if :written
commit;
\\echo {"id": :id}
\\else
rollback;
\\endif
`

const answer = `#!/bin/sh
. /etc/notes
read -r method path rest
length=0
while read -r name value && [ "$name" != "$(printf '\\r')" ]; do
  case "$name" in [Cc]ontent-[Ll]ength:) length=\${value%%[!0-9]*} ;; esac
done
[ "$length" = 0 ] || head -c "$length" >/dev/null
status='200 OK'
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" 2>/dev/null; }
case "$path" in
  /version*) body="{\\"version\\":\\"$version\\"}" ;;
  /healthz*)
    if [ $sick = false ] && sql -c 'select v from version' >/dev/null; then body='{"status":"pass"}'
    else status='503 Service Unavailable'; body='{"status":"fail"}'; fi ;;
  /notes*)
    export NOTE_TEXT="$(httpd -d "\${path#*text=}")"
    body=$(sql -v text="$NOTE_TEXT" -f /etc/add-note.sql); [ -n "$body" ] || status='500 Internal Server Error' ;;
  /count*)
    rows=$(sql -c 'select count(*) from note') && body="{\\"rows\\":$rows,\\"files\\":$(ls /data/notes | wc -l)}" ||
      { status='503 Service Unavailable'; body='{}'; } ;;
  /contents*)
    body=$(sql -c 'select id, md5(text) from note order by id'; cd /data; find . -type f | sort | xargs md5sum) ;;
  *) status='404 Not Found'; body='{}' ;;
esac
printf 'HTTP/1.1 %s\\r\\nContent-Type: application/json\\r\\nContent-Length: %s\\r\\nConnection: close\\r\\n\\r\\n%s' \\
  "$status" "$(printf '%s' "$body" | wc -c)" "$body"
`

const programs = [
  { path: 'bin/notes', content: start, mode: 0o755 },
  { path: 'bin/notes-answer', content: answer, mode: 0o755 },
  { path: 'etc/add-note.sql', content: addition },
]
