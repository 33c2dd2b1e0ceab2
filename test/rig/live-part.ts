import { once } from 'node:events'
import { startEngine } from './engine.ts'
import { startRig } from './rig.ts'

/**
 * For the rig's own tests: a whole rig or only an engine in a process of its own, which can be killed. Prints its
 * address as JSON and lives until its standard input ends.
 * Usage: live-part.ts rig | live-part.ts engine CACHE_FOLDER
 */
const [what, folder = ''] = process.argv.slice(2)
const say = (line: string) => console.error(line)
const part = what === 'engine' ? await startEngine(folder, say) : await startRig(say)
console.log(JSON.stringify(part))
process.stdin.resume()
await once(process.stdin, 'end')
await ('stop' in part ? part.stop() : part.release())
