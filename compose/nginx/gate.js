// Holds requests while Samovar swaps what is behind this proxy. njs: nginx's own JavaScript, without modules of Node;
// nothing is kept between two requests, since each has a machine of its own.
import fs from 'fs'

/* oxlint-disable no-unused-vars -- njs 0.7.9 knows no `catch` without a name */

const folder = '/run/samovar/hold/'
/** Milliseconds between two looks at the flag. */
const every = 200

/** What Samovar says now (reconciler/hold-requests.ts writes it); null: nothing, or nothing that can be read. */
function readFlag() {
  try {
    return JSON.parse(fs.readFileSync(folder + 'flag.json', 'utf8'))
  } catch (error) {
    return null
  }
}

/** In the same time for every wrong token of its length. */
function isSame(given, token) {
  if (typeof given !== 'string' || typeof token !== 'string' || token === '') return false
  let different = given.length ^ token.length
  for (let at = 0; at < given.length; at += 1)
    different |= given.charCodeAt(at) ^ token.charCodeAt(at % token.length)
  return different === 0
}

/** `pass`, `wait` or `later`. Every time in the flag is in milliseconds since 1970, by the clock of this host. */
function judge(flag, service, given, now) {
  if (flag === null || now >= flag.endsAt || flag.services.indexOf(service) < 0) return 'pass'
  if (flag.opensAt !== null && now >= flag.opensAt) return 'pass'
  if (isSame(given, flag.token)) return 'pass'
  return now < flag.holdUntil ? 'wait' : 'later'
}

/** Counts the requests that wait: all but Samovar's own checks. */
function key(r) {
  const flag = readFlag()
  return flag !== null && isSame(r.headersIn['X-Samovar-Check'], flag.token) ? '' : 'held'
}

/** Answers 204 when the request may pass, after a while or at once, and 403 when it has to come back later. */
function wait(r) {
  const given = r.headersIn['X-Samovar-Check']
  function look() {
    const verdict = judge(readFlag(), r.variables.samovar_service, given, Date.now())
    if (verdict === 'wait') setTimeout(look, every)
    else r.return(verdict === 'pass' ? 204 : 403)
  }
  look()
}

function read(name) {
  try {
    return fs.readFileSync(folder + name, 'utf8')
  } catch (error) {
    return null
  }
}

/** Samovar's page, as HTML or as JSON; without one what nginx says when nobody answers. */
function updating(r) {
  const text = read('now.json')
  const page = read('now.html')
  if (text === null || page === null) {
    const status = r.variables.upstream_status === '504' ? 504 : 502
    r.return(readFlag() === null ? status : 503)
    return
  }
  let seconds = 5
  try {
    seconds = JSON.parse(text).retryAfter
  } catch (error) {
    // The page is good without it.
  }
  const accepts = r.headersIn['Accept'] || ''
  const wantsJson = r.uri.startsWith('/api/') || accepts.includes('json')
  r.headersOut['Retry-After'] = String(seconds)
  r.headersOut['Cache-Control'] = 'no-store'
  r.headersOut['Content-Type'] = wantsJson ? 'application/json' : 'text/html; charset=utf-8'
  r.return(503, wantsJson ? text : page)
}

export default { key, wait, updating }
