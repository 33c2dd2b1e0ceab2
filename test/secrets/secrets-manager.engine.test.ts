import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { openSecretsManager } from '../../reconciler/secrets/secrets-manager.ts'
import { type S3Server, startS3Server } from '../rig/s3-server.ts'
import { putSecret } from './moto-secrets.ts'

let moto: S3Server
beforeAll(async () => {
  moto = await startS3Server()
})
afterAll(() => moto.stop())

/** As an operator sets it for Samovar; the SDK reads it itself. */
function environment(more: Record<string, string | undefined> = {}): void {
  vi.unstubAllEnvs()
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION } = moto.environment
  const set = {
    AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY,
    AWS_REGION,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: moto.endpoint,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/nonexistent',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
    ...more,
  }
  for (const [name, value] of Object.entries(set)) vi.stubEnv(name, value)
}
afterAll(() => vi.unstubAllEnvs())

describe('Secrets Manager itself', () => {
  test('gives texts and keys by name and by ARN', async () => {
    environment()
    await putSecret(moto, 'gitea/postgres', JSON.stringify({ password: 'p4ss' }))
    await putSecret(moto, 'plain', 'w0rd')
    const manager = openSecretsManager()
    expect(await manager.read('gitea/postgres#password')).toEqual({ value: 'p4ss' })
    expect(await manager.read('plain')).toEqual({ value: 'w0rd' })
  })

  test('is told to lack a secret, with the next step', async () => {
    environment()
    expect(await openSecretsManager().read('nowhere#x')).toEqual({
      why: 'nowhere: it is not in Secrets Manager of this region and account',
      next: 'create it there, or correct the reference in host.yaml',
    })
  })

  test('without a region or credentials is told by what Samovar lacks', async () => {
    environment({ AWS_REGION: undefined })
    expect(await openSecretsManager().read('plain')).toEqual({
      why: 'plain: no AWS region is set',
      next: 'set AWS_REGION for Samovar',
    })
    environment({ AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined })
    expect(await openSecretsManager().read('plain')).toMatchObject({
      why: 'plain: no AWS credentials were found',
    })
  })

  test('that does not answer is tried twice, within bounds, and what was read stays in use', async () => {
    let attempts = 0
    const silent = createServer(() => {
      attempts += 1
    })
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    try {
      environment({ AWS_ENDPOINT_URL_SECRETS_MANAGER: `http://127.0.0.1:${port}` })
      const since = Date.now()
      const said = await openSecretsManager().read('plain')
      expect(said).toMatchObject({ why: expect.stringContaining('plain: Secrets Manager does not answer (') })
      expect(Date.now() - since).toBeLessThan(16_000)
      expect(attempts).toBe(2)
    } finally {
      silent.close()
    }
  })
})
