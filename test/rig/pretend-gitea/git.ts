import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'

export const nobody = '0'.repeat(40)

const quietGit = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }

export type Writer = { name: string; email: string }
/** `content` null removes the file. */
export type Change = { path: string; content: Buffer | null }

/** @returns what it prints, or null when it fails; other ends than 0 are answers of git here */
export async function tryGit(
  bare: string,
  args: string[],
  more: { input?: Buffer | string; env?: Record<string, string> } = {},
): Promise<Buffer | null> {
  const child = spawn('git', ['-C', bare, ...args], { env: { ...quietGit, ...more.env } })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  child.stdin.on('error', () => {})
  child.stdin.end(more.input ?? '')
  child.stderr.resume()
  const output = await buffer(child.stdout)
  return (await ended) === 0 ? output : null
}

async function git(bare: string, args: string[], more: Parameters<typeof tryGit>[2] = {}): Promise<string> {
  const output = await tryGit(bare, args, more)
  if (output === null) throw new Error(`git ${args.join(' ')} failed in ${bare}`)
  return output.toString().trim()
}

export async function initBare(bare: string, branch: string): Promise<void> {
  await git('/', ['init', '-q', '--bare', `--initial-branch=${branch}`, bare])
}

/** The commit of a branch, a ref or an id; null when there is none. */
export async function commitOf(bare: string, name: string): Promise<string | null> {
  for (const each of [`refs/heads/${name}`, name]) {
    const found = await tryGit(bare, ['rev-parse', '--verify', '-q', '--end-of-options', `${each}^{commit}`])
    if (found !== null) return found.toString().trim()
  }
  return null
}

export async function branchesOf(bare: string): Promise<Map<string, string>> {
  const lines = await git(bare, ['for-each-ref', '--format=%(objectname) %(refname:lstrip=2)', 'refs/heads'])
  const pairs = lines.split('\n').filter((line) => line !== '')
  return new Map(pairs.map((line) => [line.slice(41), line.slice(0, 40)]))
}

export type Entry = { mode: string; type: string; sha: string; path: string }

/** What lies at a path; a folder is one entry of type `tree`. */
export async function entryOf(bare: string, commit: string, path: string): Promise<Entry | null> {
  const output = await tryGit(bare, ['ls-tree', '-z', commit, '--', path])
  const [line = ''] = (output?.toString() ?? '').split('\0')
  const [, mode = '', type = '', sha = '', name = ''] = /^(\d+) (\w+) (\w+)\t(.*)$/s.exec(line) ?? []
  return sha === '' ? null : { mode, type, sha, path: name }
}

export async function blob(bare: string, sha: string): Promise<Buffer> {
  return (await tryGit(bare, ['cat-file', 'blob', sha])) ?? Buffer.alloc(0)
}

/** A commit on top of another, or the first one; no ref is moved. */
export async function makeCommit(
  bare: string,
  wanted: { parent: string | null; changes: Change[]; message: string; writer: Writer },
): Promise<string> {
  const index = join(bare, `index-${randomUUID()}`)
  const env = { GIT_INDEX_FILE: index }
  try {
    if (wanted.parent !== null) await git(bare, ['read-tree', wanted.parent], { env })
    const lines: string[] = []
    for (const { path, content } of wanted.changes) {
      if (content === null) lines.push(`0 ${nobody}\t${path}\0`)
      else {
        const sha = await git(bare, ['hash-object', '-w', '--stdin'], { input: content })
        lines.push(`100644 ${sha}\t${path}\0`)
      }
    }
    await git(bare, ['update-index', '-z', '--index-info'], { env, input: lines.join('') })
    const tree = await git(bare, ['write-tree'], { env })
    return await commitTree(bare, { tree, parents: wanted.parent === null ? [] : [wanted.parent], ...wanted })
  } finally {
    await rm(index, { force: true })
  }
}

export async function commitTree(
  bare: string,
  wanted: { tree: string; parents: string[]; message: string; writer: Writer },
): Promise<string> {
  const { name, email } = wanted.writer
  const env = {
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
  }
  const parents = wanted.parents.flatMap((each) => ['-p', each])
  return await git(bare, ['commit-tree', wanted.tree, ...parents], { env, input: wanted.message })
}

export async function setRef(bare: string, ref: string, commit: string | null): Promise<void> {
  await git(bare, commit === null ? ['update-ref', '-d', ref] : ['update-ref', ref, commit])
}

/** The tree of a merge, or null when there is a conflict. */
export async function mergedTree(bare: string, base: string, head: string): Promise<string | null> {
  return (await tryGit(bare, ['merge-tree', '--write-tree', base, head]))?.toString().trim() ?? null
}

export async function isAncestor(bare: string, older: string, newer: string): Promise<boolean> {
  return (await tryGit(bare, ['merge-base', '--is-ancestor', older, newer])) !== null
}

export async function mergeBase(bare: string, one: string, other: string): Promise<string> {
  return (await tryGit(bare, ['merge-base', one, other]))?.toString().trim() ?? ''
}

export type ChangedFile = { filename: string; previous_filename?: string; status: string }

/** What a branch changes since it left another. */
export async function changedFiles(bare: string, base: string, head: string): Promise<ChangedFile[]> {
  const output = await git(bare, ['diff', '--name-status', '-M', '-z', `${base}...${head}`])
  const words = output.split('\0').filter((word) => word !== '')
  const names: Record<string, string> = { A: 'added', D: 'deleted', M: 'changed', R: 'renamed', T: 'changed' }
  const files: ChangedFile[] = []
  while (words.length > 0) {
    const status = names[words.shift()?.[0] ?? ''] ?? 'changed'
    const first = words.shift() ?? ''
    if (status === 'renamed') files.push({ filename: words.shift() ?? '', previous_filename: first, status })
    else files.push({ filename: first, status })
  }
  return files
}

export type CommitFacts = { id: string; message: string; author: Writer; timestamp: string }

/** Commits that `to` has and `from` has not, newest first; of a new branch at most ten. */
export async function newCommits(bare: string, from: string, to: string): Promise<CommitFacts[]> {
  const range = from === nobody ? ['-n', '10', to] : [`${from}..${to}`]
  const output = await tryGit(bare, ['log', '-z', '--format=%H%n%an%n%ae%n%cI%n%B', ...range])
  const entries = (output?.toString() ?? '').split('\0').filter((entry) => entry !== '')
  return entries.map((entry) => {
    const [id = '', name = '', email = '', timestamp = '', ...message] = entry.split('\n')
    return { id, message: message.join('\n'), author: { name, email }, timestamp }
  })
}
