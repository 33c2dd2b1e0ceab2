import type { Target } from './target.ts'

/**
 * Services in the order they are rolled out: what others depend on first, otherwise by name, so that two passes over
 * the same commit do the same. Compose refuses cycles before this is called; should one appear, its members come by
 * name rather than never.
 */
export function inOrder(targets: Target[]): Target[] {
  const byName = new Map(targets.map((target) => [target.service, target]))
  const done = new Set<string>()
  const ordered: Target[] = []
  const visit = (target: Target): void => {
    if (done.has(target.service)) return
    done.add(target.service)
    for (const name of needsOf(target).sort()) {
      const needed = byName.get(name)
      if (needed !== undefined) visit(needed)
    }
    ordered.push(target)
  }
  for (const target of targets.toSorted((a, b) => a.service.localeCompare(b.service))) visit(target)
  return ordered
}

const needsOf = (target: Target): string[] => [
  ...target.dependsOn.map((dependency) => dependency.service),
  ...target.shares,
]

/**
 * The services that share this one's network, processes or memory, also through another, in starting order. One that
 * shares with two of them comes once.
 */
export function sharersOf(service: string, targets: Target[]): Target[] {
  const found = new Set<Target>()
  const visit = (provider: string): void => {
    for (const target of targets) {
      if (!target.shares.includes(provider) || target.service === service || found.has(target)) continue
      found.add(target)
      visit(target.service)
    }
  }
  visit(service)
  return inOrder([...found])
}

/** The services that asked to be restarted with this one (`depends_on: {x: {restart: true}}`). */
export function restartedWith(service: string, targets: Target[]): Target[] {
  return targets.filter((target) =>
    target.dependsOn.some((dependency) => dependency.service === service && dependency.restart),
  )
}
