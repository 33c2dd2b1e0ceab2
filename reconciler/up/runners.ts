import { SamovarError } from '../errors.ts'
import { at, connectApi } from '../gitea/api.ts'
import type { SecretFiles } from '../gitea/secret-files.ts'
import type { Administrator } from './administrator.ts'
import { isThere } from './host-secrets.ts'
import { done, fine, type UpStep } from './step.ts'

/**
 * The token that runners register themselves with, for the host repository alone: whoever may open a pull request there
 * can run commands in them. Asked for with POST since Gitea 1.26, with GET before.
 *
 * @param paths files of `variables` that are to hold it
 */
export async function registrationToken(
  { url, files, administrator }: { url: string; files: SecretFiles; administrator: Administrator },
  { owner, name, paths }: { owner: string; name: string; paths: string[] },
): Promise<UpStep | null> {
  const missing = paths.filter((path) => !isThere(path))
  if (paths.length === 0) return null
  if (missing.length === 0) return fine('runners', `their token is in ${paths.join(', ')}`)
  const { user, password } = administrator
  const header = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const api = connectApi({
    url,
    authorization: () => header,
    credentials: "the administrator's password",
  })
  const path = at`/repos/${owner}/${name}/actions/runners/registration-token`
  const posted = await api.ask('POST', path, { understood: [404, 405], repeatable: true })
  const answer = posted.status < 300 ? posted : await api.ask('GET', path)
  const { token } = (answer.body ?? {}) as { token?: unknown }
  if (typeof token !== 'string' || token === '')
    throw new SamovarError('forge-refused', 'Gitea gave no token for runners', {
      next: 'Switch Gitea Actions on (GITEA__actions__ENABLED) and in the settings of the repository, then run up again.',
    })
  for (const each of missing) files.write(each, token)
  return done('runners', `a token for ${owner}/${name} into ${missing.join(', ')}`)
}
