import type { RigInUse } from '../rig/use-rig.ts'

/** What a commit wants of the application and its database server. */
export type Wanted = {
  /** Tag of the application, and of the server. */
  notes?: string
  postgres?: string
  /** How long either may take to become healthy: short where a failure is expected. */
  within?: string
  /** A further check of the application. */
  check?: string
  /** More of the service file. */
  notesExtra?: string
  postgresExtra?: string
}

export const notesCompose = (port: number): string => `services:
  postgres:
    image: postgres
    command: ["-c", "fsync=off"]
    environment:
      POSTGRES_USER: notes
      POSTGRES_DB: notes
      POSTGRES_PASSWORD: of-the-database
      POSTGRES_INITDB_ARGS: "--no-sync"
    volumes: ["postgres-data:/var/lib/postgresql/data"]
    restart: unless-stopped
    stop_grace_period: 30s
  notes:
    image: notes
    depends_on: [postgres]
    environment: { DB_PASSWORD: of-the-database }
    volumes: ["notes-data:/data"]
    ports: ["127.0.0.1:${port}:8080"]
    restart: unless-stopped
    stop_grace_period: 10s
volumes:
  postgres-data:
  notes-data:
`

export const notesYaml = (
  rig: RigInUse,
  port: number,
  wanted: Wanted,
): string => `image: ${rig.registry}/notes
tag: ${wanted.notes ?? '1.0.0'}
data:
  - { postgres: postgres, database: notes, user: notes }
  - { volume: notes-data, exclude: [cache] }
health:
  within: ${wanted.within ?? '30s'}
  steady: 200ms
  soak: 0s
  checks:
    - { http: "http://127.0.0.1:${port}/healthz", status: 200, every: 100ms }
${wanted.check === undefined ? '' : `    - ${wanted.check}\n`}${wanted.notesExtra ?? ''}`

export const postgresYaml = (rig: RigInUse, wanted: Wanted): string => `image: ${rig.registry}/postgres
tag: "${wanted.postgres ?? '15.1'}"
health:
  within: ${wanted.within ?? '60s'}
  steady: 200ms
  soak: 0s
  checks:
    - { command: [pg_isready, -q, -h, 127.0.0.1, -U, notes], in: postgres, every: 200ms }
${wanted.postgresExtra ?? ''}`
