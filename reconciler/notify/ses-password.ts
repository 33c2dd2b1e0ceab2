import { createHmac } from 'node:crypto'

/** 0x02 was made without a region and is refused since. */
const version = 0x04

/**
 * The password for the SMTP servers of Amazon SES that belongs to a secret access key; its user name is the id of the
 * key. It is good for one region. The keys of a role cannot be used so: SES knows no session token in SMTP.
 * Source: Amazon SES Developer Guide, "Obtaining Amazon SES SMTP credentials by converting existing AWS credentials".
 *
 * @param secretAccessKey of a long-lived IAM user who may `ses:SendRawEmail`
 * @param region such as `eu-central-1`
 */
export function sesPassword(secretAccessKey: string, region: string): string {
  const sign = (key: string | Buffer, text: string): Buffer =>
    createHmac('sha256', key).update(text, 'utf8').digest()
  const steps = ['11111111', region, 'ses', 'aws4_request', 'SendRawEmail']
  const signature = steps.reduce<string | Buffer>(sign, `AWS4${secretAccessKey}`)
  return Buffer.concat([Buffer.of(version), Buffer.from(signature)]).toString('base64')
}
