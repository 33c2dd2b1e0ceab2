/** What the demo's host repository is made of; an operator writes these files by hand. */
export type DemoHost = {
  project: string
  registry: string
  port: number
  /** Of the notes, which are asked directly. */
  notesPort: number
  /** Folder of the backups. */
  store: string
}

/** The first commit: web 1.0.0 behind nginx. */
export function firstCommit(host: DemoHost): Record<string, string> {
  return {
    ...hostPolling(host, '1s'),
    'desired-state/services/nginx.yaml': `image: ${host.registry}/nginx
tag: 1.0.0
health:
  within: 10s
  steady: 500ms
  checks:
    - { http: "http://127.0.0.1:${host.port}/nginx", status: 200, every: 100ms }
`,
    ...webAt(host, '1.0.0'),
    'compose/compose.yaml': compose,
    'compose/nginx/default.conf': nginxConfiguration,
  }
}

/** host.yaml; `poll` is the time between two looks at Git and at the host. */
export function hostPolling(host: DemoHost, poll: string): Record<string, string> {
  return {
    'desired-state/host.yaml': `name: demo.example.com
project: ${host.project}
compose: [compose/compose.yaml]
poll: ${poll}
variables:
  HTTP_PORT: "${host.port}"
  NOTES_PORT: "${host.notesPort}"
backup:
  stores:
    - { file: ${host.store}, keep: { last: 7 } }
`,
  }
}

/** The one line a version bump changes is the tag. The health check asks through the user's door. */
export function webAt(host: DemoHost, tag: string): Record<string, string> {
  return {
    'desired-state/services/web.yaml': `image: ${host.registry}/web
tag: ${tag}
health:
  within: 4s
  steady: 500ms
  checks:
    - { http: "http://127.0.0.1:${host.port}/healthz", status: 200, json: { status: pass }, every: 100ms }
    - { http: "http://127.0.0.1:${host.port}/version", json: { version: "{tag}" }, every: 100ms }
`,
  }
}

/** An application with a database and a volume; `notes` in another version changes both when it starts. */
export function withNotes(host: DemoHost): Record<string, string> {
  return {
    'compose/compose.yaml': compose + notesCompose,
    'desired-state/services/postgres.yaml': `image: ${host.registry}/postgres
tag: "15.1"
health:
  within: 60s
  steady: 500ms
  checks:
    - { command: [pg_isready, -q, -h, 127.0.0.1, -U, notes], in: postgres, every: 200ms }
`,
    ...notesAt(host, '1.0.0'),
  }
}

export function notesAt(host: DemoHost, tag: string): Record<string, string> {
  return {
    'desired-state/services/notes.yaml': `image: ${host.registry}/notes
tag: ${tag}
data:
  - { postgres: postgres, database: notes, user: notes }
  - { volume: notes-data }
health:
  within: 12s
  steady: 500ms
  checks:
    - { http: "http://127.0.0.1:${host.notesPort}/healthz", status: 200, every: 100ms }
`,
  }
}

const notesCompose = `  postgres:
    image: postgres
    environment: { POSTGRES_USER: notes, POSTGRES_DB: notes, POSTGRES_HOST_AUTH_METHOD: trust }
    restart: unless-stopped
    stop_grace_period: 2m
    volumes: ["postgres-data:/var/lib/postgresql/data"]
  notes:
    image: notes
    depends_on: [postgres]
    restart: unless-stopped
    volumes: ["notes-data:/data"]
    ports: ["127.0.0.1:\${NOTES_PORT}:8080"]
volumes:
  postgres-data:
  notes-data:
`

const compose = `services:
  nginx:
    image: nginx
    restart: unless-stopped
    stop_grace_period: 5s
    volumes:
      - ./nginx/default.conf:/etc/nginx/conf.d/default.conf:ro
    ports:
      - "127.0.0.1:\${HTTP_PORT}:80"
  web:
    image: web
    restart: unless-stopped
    stop_grace_period: 5s
`

// Without depends_on, and with a name that is looked up at each request: nginx starts without web and finds every
// new one. A plain upstream name would be looked up once, and the old address would answer 502.
const nginxConfiguration = `server {
  listen 80;
  access_log off;
  resolver 127.0.0.11 valid=1s ipv6=off;
  location = /nginx { return 200 "ready"; }
  location / {
    set $web http://web:8080;
    proxy_connect_timeout 1s;
    proxy_pass $web;
  }
}
`
