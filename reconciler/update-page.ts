/** What people are told while a service is updated; nothing in it is secret. */
export type UpdatePage = {
  service: string
  /** Tags. */
  from: string | null
  to: string | null
  /** ISO 8601. */
  since: string
  /** Null: it was never done before. */
  expectedSeconds: number | null
  /** How long the last ones took, the newest first; at most three. */
  lastSeconds: number[]
  /** What `Retry-After` says. */
  retryAfter: number
}

/** `expected to take 40 s (the last 3 took 31-38 s)`, or how little is known. */
export function expectationInWords({ expectedSeconds, lastSeconds }: UpdatePage): string {
  if (expectedSeconds === null) return 'how long it takes is not known yet'
  const said = `expected to take ${expectedSeconds} s`
  if (lastSeconds.length === 0) return said
  const [least, most] = [Math.min(...lastSeconds), Math.max(...lastSeconds)]
  const range = least === most ? `${least} s` : `${least}-${most} s`
  return `${said} (the last ${lastSeconds.length === 1 ? 'one' : lastSeconds.length} took ${range})`
}

/** Small, without anything to load from elsewhere; looks again by itself. */
export function htmlOfUpdate(page: UpdatePage): string {
  const what = page.to === null || page.to === page.from ? 'being updated' : `being updated to ${page.to}`
  const title = escaped(`${page.service} is ${what}`)
  const time = `${page.since.slice(11, 19)} UTC`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${page.retryAfter}">
<title>${title}</title>
<style>body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 20vh auto 0; padding: 0 1rem }</style>
</head>
<body>
<h1>${title}</h1>
<p>Since ${escaped(time)}; ${escaped(expectationInWords(page))}. This page looks again by itself.</p>
</body>
</html>
`
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => entities[sign] ?? '')
