import { readFileSync } from 'node:fs'

/**
 * The container that this process runs in. Docker mounts three files of its own into each (/etc/hostname, /etc/hosts,
 * /etc/resolv.conf) from a folder named after the container, with the network of the host as well; on the host such a
 * folder is only seen at other places. Control groups tell it where those are not its own (version 1, or Podman).
 *
 * @param mountinfo content of /proc/self/mountinfo (proc_pid_mountinfo(5))
 * @param cgroup content of /proc/self/cgroup
 * @returns its full id, or null on a host
 */
export function containerIn(mountinfo: string, cgroup: string): string | null {
  for (const line of mountinfo.split('\n')) {
    const [, , , root = '', place = ''] = line.split(' ')
    const id = /\/containers\/([0-9a-f]{64})\//.exec(root)?.[1]
    if (id !== undefined && ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'].includes(place)) return id
  }
  return /(?:^|[/-])([0-9a-f]{64})(?:\.scope)?$/m.exec(cgroup)?.[1] ?? null
}

/** As `containerIn`, of this process; null where there is no /proc. */
export function ownContainer(): string | null {
  try {
    return containerIn(
      readFileSync('/proc/self/mountinfo', 'utf8'),
      readFileSync('/proc/self/cgroup', 'utf8'),
    )
  } catch {
    return null
  }
}
