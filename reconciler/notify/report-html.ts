/** A part of a mail; what is empty is left out. */
export type Section = {
  head: string
  lines?: string[]
  facts?: [name: string, value: string][]
  log?: string[]
  links?: [name: string, address: string][]
}

const colours = { good: '#1a7f37', warning: '#9a6700', bad: '#cf222e' }

const font = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
const mono = 'font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace'

/**
 * One column, no image, no script, nothing from elsewhere. Styles stand at the elements, since many mail programs take
 * no others; the dark colours need a style sheet, and whoever drops that shows the light ones.
 */
export function htmlOf(about: {
  title: string
  tone: keyof typeof colours
  sections: Section[]
  foot: string
}): string {
  const { title, tone, sections, foot } = about
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">
<title>${escaped(title)}</title>
<style>@media (prefers-color-scheme:dark){body,.page{background:#0d1117!important;color:#e6edf3!important}.soft{color:#9ea7b3!important}.log{background:#161b22!important;color:#e6edf3!important}a{color:#6cb6ff!important}}</style>
</head><body style="margin:0;padding:0;background:#ffffff;color:#1f2328">
<div class="page" style="max-width:600px;margin:0 auto;padding:16px;${font};font-size:16px;line-height:1.5;color:#1f2328;overflow-wrap:anywhere">
<div style="border-left:6px solid ${colours[tone]};padding:2px 0 2px 12px;font-size:20px;line-height:1.3;font-weight:600">${escaped(title)}</div>
${sections.map(sectionHtml).join('\n')}
<p class="soft" style="margin:24px 0 0;font-size:13px;color:#59636e">${escaped(foot)}</p>
</div></body></html>
`
}

function sectionHtml({ head, lines = [], facts = [], log = [], links = [] }: Section): string {
  return [
    `<h2 class="soft" style="margin:20px 0 4px;font-size:14px;font-weight:600;color:#59636e">${escaped(head)}</h2>`,
    ...lines.map((line) => `<p style="margin:0 0 6px">${withCode(line)}</p>`),
    ...facts.map(
      ([name, value]) =>
        `<div style="margin:0 0 2px"><span class="soft" style="display:inline-block;min-width:88px;color:#59636e">${escaped(name)}</span> <span style="${mono};font-size:14px">${escaped(value)}</span></div>`,
    ),
    ...(log.length === 0 ? [] : [logHtml(log)]),
    ...links.map(
      ([name, address]) =>
        `<p style="margin:0 0 6px"><a href="${escaped(address)}" style="color:#0969da;display:inline-block;padding:6px 0">${escaped(name)}</a></p>`,
    ),
  ].join('\n')
}

const logHtml = (log: string[]): string =>
  `<div class="log" style="background:#f6f8fa;color:#1f2328;border-radius:6px;padding:10px;${mono};font-size:12px;line-height:1.45;white-space:pre-wrap;overflow-wrap:anywhere">${log.map(escaped).join('<br>')}</div>`

/** A command between backticks is set as code. */
const withCode = (line: string): string =>
  escaped(line).replaceAll(/`([^`]{1,80})`/g, `<code style="${mono};font-size:14px">$1</code>`)

const signs: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Nothing of the text can be markup or leave an attribute. */
export const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => signs[sign] ?? '')
