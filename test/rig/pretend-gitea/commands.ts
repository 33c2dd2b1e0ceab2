import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { registrationToken } from './actions.ts'
import type { World } from './world.ts'

/** What a program said and how it ended. */
export type Ended = { exitCode: number; stdout: string; stderr: string }

const options = {
  username: { type: 'string' },
  email: { type: 'string' },
  password: { type: 'string' },
  'random-password': { type: 'boolean' },
  'random-password-length': { type: 'string' },
  admin: { type: 'boolean' },
  'must-change-password': { type: 'string' },
  scope: { type: 'string', short: 's' },
} as const

/** Those commands of the `gitea` program that setting it up takes, as Gitea words their output. */
export function giteaCommand(world: World, words: string[]): Ended {
  try {
    // Go's flags take `--flag=false`, which Node's parser refuses for a boolean.
    const args = words.map((word) => (word === '--must-change-password' ? `${word}=true` : word))
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
    const command = positionals.join(' ')
    if (command === 'admin user create') return created(world, values)
    if (command === 'admin user list') return fine(list(world, values.admin === true))
    if (command === 'admin user delete') return deleted(world, values.username ?? '')
    if (command === 'actions generate-runner-token')
      return fine(`${registrationToken(world, values.scope ?? '')}\n`)
    if (command.startsWith('doctor check')) return fine('OK\n')
    return failed(`No help topic for '${command}'`)
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error))
  }
}

type Values = Partial<Record<'username' | 'email' | 'password' | 'must-change-password', string>> & {
  'random-password'?: boolean
  admin?: boolean
}

function created(world: World, values: Values): Ended {
  const { username = '', email = '' } = values
  if (email === '') return failed('email is not set')
  if (world.accounts.some((each) => each.login === username))
    return failed(`CreateUser: user already exists [name: ${username}]`)
  const isRandom = values['random-password'] === true
  if (isRandom === (values.password !== undefined))
    return failed(
      isRandom
        ? 'cannot set both -random-password and -password flags'
        : 'must set either password or random-password flag',
    )
  const password = values.password ?? randomBytes(9).toString('base64url')
  const isFirst = world.accounts.length === 0
  world.accounts.push({
    id: world.nextId(),
    login: username,
    email,
    password,
    admin: values.admin === true,
    mustChangePassword: values['must-change-password'] === undefined ? !isFirst : isTrue(values),
  })
  const said = isRandom ? `generated random password is '${password}'\n` : ''
  return fine(`${said}New user '${username}' has been successfully created!\n`)
}

const isTrue = (values: Values): boolean => values['must-change-password'] !== 'false'

function list(world: World, onlyAdmins: boolean): string {
  const found = world.accounts.filter((each) => each.admin || !onlyAdmins)
  const lines = found.map((each) => `${each.id}    ${each.login} ${each.email} true`)
  return ['ID   Username Email IsActive', ...lines, ''].join('\n')
}

function deleted(world: World, username: string): Ended {
  const at = world.accounts.findIndex((each) => each.login === username)
  if (at === -1) return failed(`user does not exist [uid: 0, name: ${username}]`)
  const admins = world.accounts.filter((each) => each.admin)
  if (admins.length === 1 && admins[0]?.login === username)
    return failed('can not delete the last admin user')
  world.accounts.splice(at, 1)
  return fine('')
}

const fine = (stdout: string): Ended => ({ exitCode: 0, stdout, stderr: '' })
const failed = (said: string): Ended => ({ exitCode: 1, stdout: '', stderr: `Command error: ${said}\n` })
