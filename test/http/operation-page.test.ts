import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { openConsole } from '../../reconciler/cli/console.ts'
import { type HttpSource, startHttp } from '../../reconciler/http/server.ts'
import type { Journal } from '../../reconciler/journal.ts'
import { operationLines, operationNamed } from '../../reconciler/shown-operation.ts'
import { openedJournal, told } from '../journal/told-operations.ts'

async function serve(journal: Journal) {
  const source = {
    registry: new Registry(),
    hooks: {},
    operation(text: string) {
      const operation = operationNamed(journal, text)
      return { operation, steps: journal.steps(operation.id) }
    },
  }
  const server = await startHttp({ host: '127.0.0.1', port: 0 }, source as unknown as HttpSource)
  return {
    async get(path: string) {
      const answer = await fetch(server.url + path)
      return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() }
    },
    [Symbol.asyncDispose]: () => server.close(),
  }
}

test('an operation is shown as `samovar show` prints it, by its id or its end', async () => {
  await using opened = await openedJournal('page')
  const { journal } = opened
  const operation = told(journal, {
    service: 'web',
    result: 'reverted',
    reason: 'the check http failed\u001b[31m',
    steps: [
      ['set aside', 'done'],
      ['check health', 'failed'],
    ],
  })
  told(journal, { service: 'db' })
  const printed: string[] = []
  const console = openConsole({
    json: false,
    colour: false,
    stdout: { write: (text) => printed.push(text) },
  })
  for (const line of operationLines(console, operation, journal.steps(operation.id))) console.line(line)
  await using server = await serve(journal)
  const whole = await server.get(`/operations/${operation.id}`)
  expect(whole).toEqual({ status: 200, type: 'text/plain; charset=utf-8', text: printed.join('') })
  expect(whole.text).toContain('reverted')
  expect(whole.text).toContain('check health')
  expect(whole.text).not.toContain('\u001b')
  expect((await server.get(`/operations/${operation.id.slice(-6)}`)).text).toBe(whole.text)
  const document = await server.get(`/api/operations/${operation.id.slice(-6)}`)
  expect(JSON.parse(document.text)).toMatchObject({ id: operation.id, result: 'reverted' })
})

test('an operation that is not there, or that is not named clearly, is not found', async () => {
  await using opened = await openedJournal('no-page')
  const { journal } = opened
  const [one, two] = [told(journal, {}), told(journal, {})]
  expect(one.id.slice(0, 4)).toBe(two.id.slice(0, 4))
  await using server = await serve(journal)
  for (const path of ['/operations', '/api/operations']) {
    for (const id of [
      'nothing',
      one.id.slice(0, 4),
      '%00',
      '..%2f..%2fetc',
      "'--",
      '<script>',
      'x'.repeat(90),
    ])
      expect([id, (await server.get(`${path}/${id}`)).status]).toEqual([id, 404])
    expect((await server.get(`${path}/`)).status).toBe(404)
  }
  const { text, type } = await server.get('/operations/%3Cscript%3E')
  expect([text, type]).toEqual(['there is no such operation\n', 'text/plain; charset=utf-8'])
})
