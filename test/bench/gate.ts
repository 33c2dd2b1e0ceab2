import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { resolve } from 'node:path'
import { type NginxHost, startNginxHost, up } from '../end-to-end/nginx-host.ts'
import { type Figures, median, spread } from './figures.ts'

/** Requests one after the other on one connection; the first ones of a turn are not counted. */
const ofTurn = { warm: 50, counted: 400 }

/**
 * What a request pays for the look at Samovar's flag when nothing is held: through the location as it is, through one
 * without the look, and through one that asks njs for every request, in turns.
 */
export async function measureGate(turns: number): Promise<Figures> {
  await using host = await startNginxHost('bench-gate')
  const file = 'compose/nginx/nginx.conf'
  const written = await readFile(resolve(import.meta.dirname, '../..', file), 'utf8')
  const upstream = 'include /etc/nginx/samovar/gitea.conf;'
  const others = `location /bare/ { ${upstream} }
        location /njs/ { auth_request /.samovar/gate; ${upstream} }
        location /assets/ {`
  await host.commit({ [file]: written.replace('location /assets/ {', others) })
  await host.pass()
  await up(host)
  const seen: Record<string, number[]> = { bare: [], gate: [], njs: [] }
  for (let turn = 0; turn < turns; turn += 1) {
    // Another order each time: who comes second finds a warmer machine.
    const order = ['bare', 'gate', 'njs'].slice(turn % 3).concat(['bare', 'gate', 'njs'].slice(0, turn % 3))
    for (const name of order)
      seen[name]?.push(await medianOf(host, name === 'gate' ? '/version' : `/${name}/version`))
  }
  const bare = seen['bare'] ?? []
  const ratios = (name: string) => (seen[name] ?? []).map((ms, at) => ms / (bare[at] ?? 1))
  return {
    name: 'gate',
    title: 'A request through nginx when nothing is held',
    rows: [
      { what: 'without a look at the flag', is: spread(bare, 'ms', 3) },
      { what: 'as it is, of that', is: spread(ratios('gate'), '', 2) },
      { what: 'asking njs each time, of that', is: spread(ratios('njs'), '', 2) },
    ],
    note: `Medians of ${ofTurn.counted} requests, ${turns} turns of each in changing order; over TLS on one connection, to a Node server behind nginx.`,
    values: { turns, ...seen },
  }
}

async function medianOf(host: NginxHost, path: string): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: host.ca })
  const times: number[] = []
  try {
    for (let at = 0; at < ofTurn.warm + ofTurn.counted; at += 1) {
      const began = performance.now()
      await got(`${host.https}${path}`, agent)
      if (at >= ofTurn.warm) times.push(performance.now() - began)
    }
  } finally {
    agent.destroy()
  }
  return median(times)
}

function got(url: string, agent: Agent): Promise<void> {
  return new Promise((done, reject) => {
    request(url, { agent }, (answer) => {
      answer.resume()
      answer.once('end', () =>
        answer.statusCode === 200 ? done() : reject(new Error(`${answer.statusCode}`)),
      )
    })
      .once('error', reject)
      .end()
  })
}
