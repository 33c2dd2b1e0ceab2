import { expect, test } from 'vitest'
import { SamovarError } from '../reconciler/errors.ts'
import { makeLog, whatAndNext } from '../reconciler/log.ts'

const now = () => Date.UTC(2026, 10, 22, 3, 15, 2, 400)

test('an event is one line with time, level and what it is about', () => {
  const lines: string[] = []
  makeLog({ level: 'info', write: (line) => lines.push(line), now }).info(
    'gitea',
    'step "set aside" done in 1.2 s',
  )
  expect(lines).toEqual(['2026-11-22T03:15:02Z info gitea: step "set aside" done in 1.2 s'])
})

test('what is below the level is not written', () => {
  const lines: string[] = []
  const log = makeLog({ level: 'warn', write: (line) => lines.push(line), now })
  log.debug('git', 'a')
  log.info('git', 'b')
  log.warn('git', 'c')
  log.error('git', 'd')
  expect(lines.map((line) => line.split(' ')[1])).toEqual(['warn', 'error'])
})

test('the words of a container can neither forge a line nor steer a terminal', () => {
  const lines: string[] = []
  const log = makeLog({ level: 'info', write: (line) => lines.push(line), now })
  log.info('web', 'last words:\n2026-11-22T03:15:03Z info web: applied \x1b[2J')
  expect(lines).toHaveLength(1)
  expect(lines[0]).not.toMatch(/\p{Cc}/u)
  expect(lines[0]).toContain('last words: | 2026')
})

test('an error says what happened and what to do next', () => {
  const error = new SamovarError('engine-unreachable', 'the engine does not answer', { next: 'Start it.' })
  expect(whatAndNext(error)).toBe('the engine does not answer; next: Start it.')
  expect(whatAndNext(new TypeError('x is undefined'))).toBe('x is undefined')
})
