import { type Api, at } from '../api.ts'

/** The repository that calls are about. */
export type Place = { api: Api; owner: string; name: string; webUrl: string }

/** Path of something of the repository, such as `/repos/ops/host/pulls`. */
export function inRepository(place: Pick<Place, 'owner' | 'name'>, rest: string): string {
  return at`/repos/${place.owner}/${place.name}` + rest
}
