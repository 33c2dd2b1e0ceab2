import type { Readable } from 'node:stream'

/**
 * The seam to a place where backups go. Two implementations: file-store.ts (a folder of this host) and s3-store.ts;
 * both pass test/contracts/store.ts. A store keeps objects under keys such as `v1/git.example.com/...` and knows
 * nothing about backups.
 *
 * Every method may throw SamovarError `store-failed` (message with the name of the store, `next` for its owner).
 */
export interface Store {
  /** For people: `file /var/backups/samovar`, `s3 my-bucket/git.example.com`. Never a credential. */
  readonly name: string

  /**
   * Looks whether objects can be written and read here, and what the store can do (conditional writes), with a small
   * object of its own that does not stay where the store allows deletion. Cheap enough to call before a service is stopped.
   */
  check(): Promise<void>

  /**
   * Writes one object, once: an object that exists is never changed. Resolves when it is durable; when it throws,
   * the key does not exist, or exists with exactly this content (the answer was lost). Constant memory.
   *
   * @param content is read to its end; an error of it ends the write, and nothing stays under the key
   * @param estimate bytes that may be expected, for the size of parts; null when nobody knows
   * @throws SamovarError `store-conflict` when another object has the key
   */
  put(key: string, content: Readable, estimate: number | null): Promise<void>

  /**
   * One object, from its beginning. The stream ends with an error when less than the whole object came.
   * @throws SamovarError `not-found`
   */
  get(key: string): Promise<Readable>

  /** Every complete object below a prefix (`v1/git.example.com/`), in no order. What is half written is not among them. */
  list(prefix: string): AsyncIterable<StoredObject>

  /** Removes objects; keys that do not exist are no error. */
  remove(keys: string[]): Promise<void>

  /**
   * Removes what our own cut writes left behind below a prefix, older than a moment: temporary files, unfinished
   * multipart uploads. Answers how many.
   *
   * @param before milliseconds since 1970
   */
  sweep(prefix: string, before: number): Promise<number>

  close(): Promise<void>
}

/** `changedAt`: milliseconds since 1970, the store's clock. */
export type StoredObject = { key: string; bytes: number; changedAt: number }
