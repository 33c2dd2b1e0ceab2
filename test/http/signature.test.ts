import { describe, expect, test } from 'vitest'
import { valueAt } from '../../reconciler/http/hook.ts'
import { bearsToken, isSigned } from '../../reconciler/http/signature.ts'
import { secretOf } from '../../reconciler/settings.ts'

describe('a signature', () => {
  test('is HMAC-SHA256 as RFC 4231 has it (test case 2)', () => {
    const bytes = Buffer.from('what do ya want for nothing?')
    const signature = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
    expect(isSigned(bytes, { secret: secretOf('Jefe'), signature })).toBe(true)
    expect(isSigned(bytes, { secret: secretOf('jefe'), signature })).toBe(false)
    expect(isSigned(bytes, { secret: secretOf('Jefe'), signature: '' })).toBe(false)
    expect(isSigned(bytes, { secret: secretOf('Jefe'), signature: signature.slice(2) })).toBe(false)
    for (let at = 0; at < 64; at += 1) {
      const other = signature[at] === '0' ? '1' : '0'
      const changed = signature.slice(0, at) + other + signature.slice(at + 1)
      expect(isSigned(bytes, { secret: secretOf('Jefe'), signature: changed }), `digit ${at}`).toBe(false)
    }
  })
})

describe('a token', () => {
  test('that is empty is no token, even when that is what is expected', () => {
    for (const authorization of [undefined, '', 'Bearer', 'Bearer '])
      expect(bearsToken(authorization, secretOf(''))).toBe(false)
    expect(bearsToken('Bearer a', secretOf('a'))).toBe(true)
  })
})

describe('a key of a body', () => {
  test('is what was sent, never what every object has', () => {
    expect(valueAt({}, 'constructor')).toBeUndefined()
    expect(valueAt({}, '__proto__', 'toString')).toBeUndefined()
    expect(valueAt(JSON.parse('{"__proto__":{"a":1}}'), 'a')).toBeUndefined()
    expect(valueAt({ a: { b: 1 } }, 'a', 'b')).toBe(1)
    for (const value of [null, undefined, 'text', 1]) expect(valueAt(value, 'length')).toBeUndefined()
  })
})
