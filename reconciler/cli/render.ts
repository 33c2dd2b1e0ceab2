import { resolve } from 'node:path'
import { readDesiredState } from '../desired-state/read.ts'
import { SamovarError } from '../errors.ts'
import { readSettings, type Settings } from '../settings.ts'
import { type DiunEndpoint, renderDiunConfiguration, renderDiunImages } from '../version-bumps/render-diun.ts'
import { findingLines, rootOf } from './validate.ts'
import { type Call, exit, type Verb } from './verb.ts'
import { plural } from './wording.ts'

export const renderVerb: Verb = {
  name: 'render',
  usage: 'diun [DIR] [--config]',
  summary: "print Diun's file of images from the desired state",
  about:
    "Reads DIR (the root of a checkout of the host repository; the current folder when not named) and prints the file of\nimages for Diun's file provider: one item for each repository, with the tags that may follow. With --config it prints\nan example of Diun's own configuration instead. Nothing else goes to stdout; print it anew when tags were changed.",
  exits: [
    [exit.fine, 'printed'],
    [exit.error, 'findings, or the folder cannot be read'],
  ],
  options: { config: { type: 'boolean' } },
  optionTexts: { '--config': "an example of Diun's configuration instead of the images" },
  names: [1, 2],
  json: false,
  run: render,
}

async function render({ names, options, console }: Call) {
  const [what, folder = '.'] = names
  if (what !== 'diun')
    throw new SamovarError('not-found', `There is nothing called "${what}" to render.`, {
      next: '`samovar render diun`',
    })
  const { directory, publicUrl, listen } = readSettings({ repository: false })
  const { state, findings } = await readDesiredState({ root: rootOf(resolve(folder), directory), directory })
  if (state === null) {
    for (const line of findingLines(findings)) console.problem(line)
    console.problem(`${plural(findings.length, 'finding')}; next: correct the lines above and run it again`)
    return exit.error
  }
  const text = options['config']
    ? renderDiunConfiguration(state, endpointFor(publicUrl, listen))
    : renderDiunImages(state)
  process.stdout.write(text)
  return exit.fine
}

/** An address that every machine has of its own leads a container to itself. */
function endpointFor(publicUrl: string | null, { host, port }: Settings['listen']): DiunEndpoint {
  if (publicUrl !== null) return { url: `${publicUrl}/hooks/diun`, remark: null }
  const isEverywhere = /^(?:localhost|127\..*|0\.0\.0\.0|::1?|)$/.test(host)
  const written = isEverywhere ? 'SAMOVAR-AS-DIUN-REACHES-IT' : host.includes(':') ? `[${host}]` : host
  return {
    url: `http://${written}:${port}/hooks/diun`,
    remark: isEverywhere
      ? 'set SAMOVAR_PUBLIC_URL, or name the address of the Docker bridge, such as 172.17.0.1, here and in SAMOVAR_LISTEN'
      : null,
  }
}
