import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pushPostgres18 } from './postgres-image.ts'
import { mustRun, run } from './process.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'
import { useRig } from './use-rig.ts'

test('PostgreSQL 18 takes its password from a file and keeps its data in the folder of its major', async () => {
  const rig = useRig()
  const env = { ...process.env, ...rig.environment }
  const docker = (...words: string[]) => mustRun('docker', words, { env })
  await pushPostgres18(rig.registry, rig.cacheFolder)
  await using folder = await tempFolder('password')
  const file = join(folder.path, 'password')
  await writeFile(file, 'from-the-file\n', { mode: 0o600 })
  const name = rig.project('postgres-18')
  const labels = ['--label', `com.docker.compose.project=${name}`]
  try {
    await docker(
      ...[
        'run',
        '-d',
        '--name',
        name,
        ...labels,
        '-v',
        `${name}:/var/lib/postgresql`,
        '-v',
        `${file}:/run/password:ro`,
      ],
      ...[
        '-e',
        'POSTGRES_PASSWORD_FILE=/run/password',
        '-e',
        'POSTGRES_USER=gitea',
        '-e',
        'POSTGRES_DB=gitea',
      ],
      rig.image('postgres', '18.6'),
    )
    const asked = await until(
      'the server answers with the password of the file',
      async () => {
        const sql =
          "select current_setting('server_version_num')::int / 10000, current_setting('data_directory')"
        const address = 'postgresql://gitea:from-the-file@127.0.0.1/gitea'
        const { exitCode, stdout, stderr } = await run(
          'docker',
          ['exec', name, 'psql', '-XAtc', sql, address],
          { env },
        )
        if (exitCode !== 0) throw new Error((await run('docker', ['logs', name], { env })).stderr + stderr)
        return stdout.trim()
      },
      { withinMs: 15_000 },
    )
    expect(asked).toBe('18|/var/lib/postgresql/18/docker')
  } finally {
    await run('docker', ['rm', '-fv', name], { env })
    await run('docker', ['volume', 'rm', name], { env })
  }
})
