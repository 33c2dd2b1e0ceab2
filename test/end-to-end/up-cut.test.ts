import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { mustRun } from '../rig/process.ts'
import { startUpHost, type UpHost } from './up-host.ts'

/** Starts up and kills it as soon as it says something; answers what it said. */
async function cutAt(host: UpHost, marker: RegExp): Promise<string> {
  const words = ['up', host.folder, '--yes', '--environment', host.environmentFile]
  const child = spawn(process.execPath, ['reconciler/cli.ts', ...words], { env: host.environment })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (marker.test(said)) child.kill('SIGKILL')
    })
  const [code] = await new Promise<[number | null]>((resolve) =>
    child.once('close', (each) => resolve([each])),
  )
  if (code !== null)
    throw new Error(`it was to be cut at ${String(marker)}, but ended with ${code}:\n${said}`)
  return said
}

const limit = { timeout: 400_000 }

test(
  'up that is killed at any step goes on when it is called again, and refuses another host and another history',
  limit,
  async () => {
    await using host = await startUpHost('up-cut')
    await host.commit({ 'notes.txt': 'of a person\n' })
    // All that an earlier life of this machine left: what is in it was written with a key that is not here.
    const left = `${host.project}_gitea-data`
    await host.rig.docker.createVolume({ Name: left })
    const onData = await host.up()
    expect(onData).toMatchObject({ exitCode: 1 })
    expect(onData.stderr).toMatch(/GITEA_SECRET_KEY: .* is missing, and there is data .*_gitea-data/)
    await expect(host.read(host.secret('gitea-secret-key'))).rejects.toMatchObject({ code: 'ENOENT' })
    await host.rig.docker.getVolume(left).remove()

    const yaml = await host.read(`${host.folder}/desired-state/host.yaml`)
    await cutAt(host, /GITEA_SECRET_KEY in /)
    const key = await host.read(host.secret('gitea-secret-key'))

    await host.commit({ 'desired-state/host.yaml': yaml.replace('git.example.com', 'other.example.com') })
    const other = await host.up()
    expect(other).toMatchObject({ exitCode: 1, document: { error: { code: 'settings-invalid' } } })
    expect(other.stderr).toContain(
      'this host is git.example.com, and the desired state is that of other.example.com',
    )
    expect(await host.containers()).toEqual({})
    await host.git('reset', '-q', '--hard', 'HEAD~1')

    await cutAt(host, /^postgres: create/m)
    await cutAt(host, /^gitea: create[^]*set aside/m)
    await cutAt(host, /checks +healthy/)
    await cutAt(host, /administrator +operator/)
    await cutAt(host, /bootstrap +(made for )?ops\/host/)

    // What others pushed meanwhile has nothing to do with this checkout.
    const password = (await host.read(`${host.stateDir}/gitea-admin-password`)).trim()
    const address = `${host.url.replace('://', `://operator:${password}@`)}/ops/host.git`
    const tree = (await host.git('rev-parse', 'HEAD^{tree}')).trim()
    const stranger = (await host.git('commit-tree', '-m', 'not ours', tree)).trim()
    await host.git('push', '-q', address, `${stranger}:refs/heads/main`)
    const refused = await host.up()
    expect(refused).toMatchObject({ exitCode: 1, document: { error: { code: 'forge-refused' } } })
    expect(refused.stderr).toContain('has another history')
    expect(await host.git('ls-remote', address, 'refs/heads/main')).toContain(stranger)
    await host.git('push', '-q', '-f', address, 'HEAD~1:refs/heads/main')

    await cutAt(host, /push +\w{8} to main/)
    await cutAt(host, /runners +a token/)
    await cutAt(host, /^runner: create/m)
    await cutAt(host, /settings +SAMOVAR_REPOSITORY/)

    const last = await host.up()
    expect(last.exitCode).toBe(0)
    expect(last.document.services.map(({ service, version }) => [service, version])).toEqual([
      ['postgres', '15.1'],
      ['gitea', '1.27.1'],
      ['nginx', '1.0.0'],
      ['runner', '3.3.0'],
    ])
    const containers = await host.containers()
    expect(Object.keys(containers).toSorted()).toEqual(['gitea', 'nginx', 'postgres', 'runner'])
    const all = await mustRun('docker', ['ps', '-a', '-q', '--filter', `name=${host.project}`], {
      env: host.environment,
    })
    expect(all.trim().split('\n')).toHaveLength(4)
    expect(await host.read(host.secret('gitea-secret-key'))).toBe(key)
    expect(await host.git('ls-remote', address, 'refs/heads/main')).toContain(
      (await host.git('rev-parse', 'HEAD')).trim(),
    )
  },
)
