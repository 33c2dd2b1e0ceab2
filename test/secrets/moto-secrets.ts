import {
  CreateSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager'
import type { S3Server } from '../rig/s3-server.ts'

/** Creates or changes a secret in moto. */
export async function putSecret(moto: S3Server, name: string, text: string): Promise<void> {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION } = moto.environment
  const client = new SecretsManagerClient({
    endpoint: moto.endpoint,
    region: AWS_REGION,
    credentials: { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY },
  })
  try {
    await client.send(new CreateSecretCommand({ Name: name, SecretString: text }))
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ResourceExistsException') throw error
    await client.send(new PutSecretValueCommand({ SecretId: name, SecretString: text }))
  } finally {
    client.destroy()
  }
}
