/** The repository of an image in its parts, as in `docker.io` and `library/postgres`. */
export type ImageName = { registry: string; repository: string }

const longestName = 255
const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const repositoryForm = new RegExp(`^${component}(?:/${component})*$`)
const registryForm = /^(?:[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/

/**
 * Reads the name of an image without tag and digest, by Docker's own rules: without a registry it is Docker Hub's, and
 * there without an owner it is `library`'s.
 * @returns null for what is no name of an image
 */
export function readImageName(image: string): ImageName | null {
  if (image.length > longestName) return null
  const [first = '', ...rest] = image.split('/')
  const named = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  const registry = named ? first.toLowerCase() : 'docker.io'
  const path = named ? rest.join('/') : image
  if (!registryForm.test(registry) || !repositoryForm.test(path)) return null
  if (registry !== 'docker.io' && registry !== 'index.docker.io') return { registry, repository: path }
  return { registry: 'docker.io', repository: path.includes('/') ? path : `library/${path}` }
}

/**
 * One spelling for each repository, so that `postgres` and `docker.io/library/postgres` are the same.
 * @returns null for what is no name of an image
 */
export function fullImageName(image: string): string | null {
  const name = readImageName(image)
  return name === null ? null : `${name.registry}/${name.repository}`
}

/** The last part of the path, which says what the image is, whoever publishes it: `nginx` of `docker.io/bitnami/nginx`. */
export function lastPartOf(image: string): string {
  return image.slice(image.lastIndexOf('/') + 1)
}

/** Docker's form of a tag. */
export const isTag = (text: string): boolean => /^\w[\w.-]{0,127}$/.test(text)

export const isDigest = (text: string): boolean => /^sha256:[0-9a-f]{64}$/.test(text)
