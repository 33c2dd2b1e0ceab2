import { describe, expect, test } from 'vitest'
import { connect, json, startServer } from './answering.ts'

describe('lists', () => {
  const all = Array.from({ length: 8 }, (_, id) => ({ id }))
  const page = (path: string, size: number) => {
    const first = (Number(new URL(path, 'http://localhost').searchParams.get('page')) - 1) * size
    return all.slice(first, first + size)
  }
  const listed = async (url: string) => {
    const items: unknown[] = []
    for await (const item of connect(url).items('/things', { query: { state: 'open' } })) items.push(item)
    return items
  }

  test('a server that gives less than it is asked for is asked until it has no more', async () => {
    await using server = await startServer((response, _, request) =>
      json(response, 200, page(request.url ?? '', 3)),
    )
    expect(await listed(server.url)).toEqual(all)
    expect(server.seen.map((each) => each.path)).toEqual(
      [1, 2, 3, 4].map((each) => `/api/v1/things?state=open&page=${each}&limit=50`),
    )
  })

  test('the count of all spares the last request, and links are not followed', async () => {
    await using server = await startServer((response, _, request) =>
      json(response, 200, page(request.url ?? '', 4), {
        'x-total-count': '8',
        link: '<http://git.example.com/api/v1/things?page=2>; rel="next"',
      }),
    )
    expect(await listed(server.url)).toEqual(all)
    expect(server.seen).toHaveLength(2)
  })

  test('an empty list may be null', async () => {
    await using server = await startServer((response) => json(response, 200, null))
    expect(await listed(server.url)).toEqual([])
  })

  test('a server that ignores the page is not asked forever', async () => {
    await using server = await startServer((response) => json(response, 200, all))
    await expect(listed(server.url)).rejects.toThrow('too many')
  })

  test('who has enough stops asking', async () => {
    await using server = await startServer((response, _, request) =>
      json(response, 200, page(request.url ?? '', 3)),
    )
    for await (const _ of connect(server.url).items('/things')) break
    expect(server.seen).toHaveLength(1)
  })

  test('one item with an endless text hides no other item of its list', async () => {
    const items = [1, 2, 3, 4].map((number) => ({ number, body: number === 3 ? 'x'.repeat(9_000_000) : '' }))
    await using server = await startServer((response, _, request) => {
      const { searchParams } = new URL(request.url ?? '', 'http://localhost')
      const [nth, limit] = [Number(searchParams.get('page')), Number(searchParams.get('limit'))]
      json(response, 200, items.slice((nth - 1) * limit, nth * limit), { 'x-total-count': '4' })
    })
    const found: number[] = []
    for await (const each of connect(server.url).items<{ number: number }>('/things')) found.push(each.number)
    expect(found).toEqual([1, 2, 4])
  })
})
