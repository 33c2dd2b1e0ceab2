/** Something that `samovar up` looked at or did. `done` alone has changed anything. */
export type UpStep = {
  name: string
  result: 'ok' | 'done' | 'warning' | 'problem'
  /** One line for people, nothing secret. */
  said: string
  next: string | null
}

export const fine = (name: string, said: string): UpStep => ({ name, result: 'ok', said, next: null })
export const done = (name: string, said: string): UpStep => ({ name, result: 'done', said, next: null })
export const warning = (name: string, said: string, next: string): UpStep => ({
  name,
  result: 'warning',
  said,
  next,
})
export const problem = (name: string, said: string, next: string): UpStep => ({
  name,
  result: 'problem',
  said,
  next,
})
