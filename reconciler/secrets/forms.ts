/** Shorter ones are parts of any text once they are written otherwise. */
const shortestEncoded = 4
const shortestLine = 8

/**
 * A secret in every form that a program writes it in without meaning to: as it is, line by line, in an address, in JSON,
 * in base64 and in hexadecimal. Pure.
 */
export function formsOf(secret: string): string[] {
  if (secret === '') return []
  const lines = secret.split(/\r?\n/).filter((line) => line.length >= shortestLine)
  if (secret.length < shortestEncoded) return [secret]
  const bytes = Buffer.from(secret)
  const forms = [
    secret,
    ...lines,
    encodeURIComponent(secret.toWellFormed()),
    JSON.stringify(secret).slice(1, -1),
    // Without the padding, which not everybody writes.
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
  ]
  return [...new Set(forms)]
}
