import { SamovarError } from '../errors.ts'

/** Gitea said no. What it said is in the message; decisions are made by `status` alone. */
export class ForgeRefusal extends SamovarError {
  readonly status: number

  constructor(status: number, message: string, options: { next?: string; cause?: unknown } = {}) {
    super('forge-refused', message, options)
    this.name = 'ForgeRefusal'
    this.status = status
  }
}

/** An answer that is larger than anything Samovar asks for. */
export class TooLarge extends ForgeRefusal {}

/** The HTTP status that Gitea refused a request with, or undefined for any other value. */
export function refusalStatus(error: unknown): number | undefined {
  return error instanceof ForgeRefusal ? error.status : undefined
}
