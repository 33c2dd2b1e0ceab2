import { describe, expect, test } from 'vitest'
import { samovarLabels } from '../../reconciler/engine/engine.ts'
import { isSecretChange, secretChanges, secretsIn } from '../../reconciler/secrets/changed.ts'
import { reasonInWords } from '../../reconciler/status.ts'

const values = new Map([
  ['PASSWORD', 'line one\nline "two"\\'],
  ['TOKEN', 'hunter2'],
  ['UNUSED', 'nowhere'],
])
const labelled = (label: string) => ({ Labels: { [samovarLabels.secrets]: label } }) as never

describe('the secrets of a container', () => {
  test('are found wherever they stand in it, also with line ends and quotes, each with a keyed hash', () => {
    const parts = [{ Env: ['A=x hunter2'] }, [{ from: { content: `p: ${values.get('PASSWORD')}\n` } }]]
    const label = secretsIn(parts, { values, key: 'k' })
    expect(label).toMatch(/^PASSWORD=[0-9a-f]{16},TOKEN=[0-9a-f]{16}$/)
    expect(secretsIn(parts, { values, key: 'k' })).toBe(label)
    expect(secretsIn(parts, { values, key: 'another' }).split(',')[0]).not.toBe(label.split(',')[0])
    expect(secretsIn([{ Env: ['A=x'] }], { values, key: 'k' })).toBe('')
    expect(secretsIn({ Labels: { 'x.hunter2': '' } }, { values, key: 'k' })).toMatch(/^TOKEN=/)
  })

  test('that changed are told by name alone; what came or went with the configuration is not', () => {
    const changes = secretChanges('A=1,B=2,GONE=3', labelled('A=1,B=9,NEW=4'))
    expect(changes).toEqual([{ field: 'secret B', before: '', after: 'changed' }])
    expect(changes.map(reasonInWords)).toEqual(['secret B changed'])
    expect(secretChanges(undefined, labelled('A=1'))).toEqual([])
    expect(secretChanges('A=1', { Labels: {} } as never)).toEqual([])
    expect(isSecretChange({ field: 'labels.secret', before: '', after: 'changed' })).toBe(false)
  })
})
