import { expect, test } from 'vitest'
import { interpolate, unknownVariables } from '../../reconciler/compose/interpolation.ts'

const variables = { HOST: 'example.com', EMPTY: '' }

test.each([
  ['$HOST and ${HOST}', 'example.com and example.com'],
  ['$$HOST ${EMPTY:-default} ${EMPTY-default}', '$HOST default '],
  ['${NONE:-${HOST:-x}}/y', 'example.com/y'],
  ['${HOST:+set} ${NONE+set}', 'set '],
  ['a $ b ${ c', 'a $ b ${ c'],
])('%s becomes what Compose makes of it', (text, expected) => {
  expect(interpolate(text, variables)).toBe(expected)
})

test.each([
  ['${NONE}', ['NONE']],
  ['$NONE/${OTHER:?must be set}', ['NONE', 'OTHER']],
  ['${NONE:-${INNER}}', ['INNER']],
  ['$$NONE ${NONE:-x} ${NONE+y} $HOST', []],
  ['${toString}', ['toString']],
])('%s needs the right variables', (text, names) => {
  expect(unknownVariables(text, variables)).toEqual(names)
})
