import { request } from 'node:http'

/**
 * A client in a process of its own, so that it does not slow down what it measures. Each line on its input begins or
 * ends a measurement; at the end it prints the longest time between two good answers in it, and how many were bad.
 * Usage: probe.ts URL
 */
const [url = ''] = process.argv.slice(2)
/** Milliseconds. Requests overlap: one that hangs (its packet reached nobody) must not hide the next one's answer. */
const every = 5
let isOn = false
let isEnding = false
let last = 0
let longest = 0
let failed = 0

process.stdin.setEncoding('utf8')
process.stdin.on('data', () => {
  if (isOn) isEnding = true
  else begin()
})
process.stdin.on('end', () => process.exit(0))

function begin(): void {
  isOn = true
  last = performance.now()
  longest = 0
  failed = 0
  const timer = setInterval(() => {
    if (isOn) ask()
    else clearInterval(timer)
  }, every)
}

/** A new connection each time: one that was kept would end at the old container. */
function ask(): void {
  const asked = request(url, { agent: false, timeout: 2_000 }, (answer) => {
    answer.resume()
    answer.once('end', () => (answer.statusCode === 200 ? sawGood(performance.now()) : sawBad()))
    answer.once('error', sawBad)
  })
  asked.once('error', sawBad)
  asked.once('timeout', () => asked.destroy())
  asked.end()
}

function sawBad(): void {
  failed += 1
}

function sawGood(now: number): void {
  if (!isOn) return
  longest = Math.max(longest, now - last)
  last = now
  // Only after a good answer: a gap that is not over yet would be told too short.
  if (!isEnding) return
  isOn = false
  isEnding = false
  console.log(JSON.stringify({ longest, failed }))
}
