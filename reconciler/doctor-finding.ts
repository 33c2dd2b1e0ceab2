import { SamovarError, sentenceOf } from './errors.ts'

/** `next` only when there is something to do. */
export type Finding = { name: string; ok: boolean; said: string; next: string | null }

/** One thing that is looked at: what it says when it is good, or what is wrong with the next step. */
export async function check<T>(
  name: string,
  said: string | ((found: T) => string),
  act: () => T | Promise<T>,
): Promise<Finding> {
  try {
    const found = await act()
    return ok(name, typeof said === 'string' ? said : said(found))
  } catch (error) {
    return bad(name, error)
  }
}

export const ok = (name: string, said: string): Finding => ({ name, ok: true, said, next: null })

export function bad(name: string, error: unknown, source: unknown = error): Finding {
  return {
    name,
    ok: false,
    said: sentenceOf(error),
    next: source instanceof SamovarError ? source.next : null,
  }
}
