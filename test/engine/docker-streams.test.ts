import { expect, test } from 'vitest'
import { lastBytes, sortFrames } from '../../reconciler/engine/docker-streams.ts'

const frame = (stream: number, content: string): Buffer => {
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(Buffer.byteLength(content), 4)
  return Buffer.concat([header, Buffer.from(content)])
}

const sorted = (chunks: Buffer[]) => {
  let output = ''
  let errors = ''
  const frames = sortFrames({
    output: (part) => {
      output += part.toString('latin1')
    },
    errors: (part) => {
      errors += part.toString('latin1')
    },
  })
  for (const chunk of chunks) frames.take(chunk)
  return { output, errors, whole: frames.whole() }
}

const stream = Buffer.concat([frame(1, 'some'), frame(2, 'why'), frame(1, ''), frame(1, ' more')])

test('frames are told apart wherever the connection cuts them', () => {
  for (let cut = 0; cut <= stream.length; cut += 1)
    expect(sorted([stream.subarray(0, cut), stream.subarray(cut)])).toEqual({
      output: 'some more',
      errors: 'why',
      whole: true,
    })
  expect(sorted([...stream].map((byte) => Buffer.of(byte))).output).toBe('some more')
})

test('a stream that ends inside a frame is not whole', () => {
  const ends = [0, 12, 23, 31, 44]
  for (let cut = 0; cut <= stream.length; cut += 1)
    expect(sorted([stream.subarray(0, cut)]).whole, `cut at ${cut}`).toBe(ends.includes(cut))
})

test('of what a program says the last bytes are kept', () => {
  const kept = lastBytes(8)
  for (const part of ['a long beginning', ' and ', 'the', ' end']) kept.add(Buffer.from(part))
  expect(kept.text()).toBe(' the end')
})
