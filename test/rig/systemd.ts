import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type Finished, run, works } from './process.ts'
import { tempFolder } from './temp-folder.ts'
import { until } from './until.ts'

const program = '/lib/systemd/systemd'
/** Where this tree is inside: a unit with PrivateTmp does not see one that lies in /tmp. */
export const treeInside = '/opt/tree'

/** A systemd of our own needs root, namespaces and the program. */
export const canBootSystemd =
  process.getuid?.() === 0 &&
  existsSync(program) &&
  (await works('unshare', ['--pid', '--fork', '--mount', '--cgroup', 'true']).catch(() => false))
if (!canBootSystemd)
  console.info(`systemd: the tests under a real one are skipped: they need root, namespaces and ${program}`)

/** What units of a server depend on, and what is no part of these tests. */
const nothing = ['sysinit', 'basic', 'shutdown', 'network-online', 'multi-user'].map(
  (name) => `${name}.target`,
)

/**
 * A real systemd in namespaces of its own: its processes, mounts and control groups are not those of this machine. It
 * has the given units and no others; `/opt`, `/var` and `/run` begin empty, `/etc` and `/usr/bin` may be written
 * to without a trace, `/usr/bin/node` is the Node of this process. The network is that of this machine.
 *
 * @param about.dropIns text of a drop-in, by unit
 * @param about.visible folders below /run that stay, for the sockets in them
 */
export async function bootSystemd(
  unitFiles: string[],
  { dropIns = {}, visible = [] }: { dropIns?: Record<string, string>; visible?: string[] } = {},
) {
  const folder = await tempFolder('systemd')
  const units = join(folder.path, 'units')
  await mkdir(units)
  for (const name of nothing) await writeFile(join(units, name), '[Unit]\nDefaultDependencies=no\n')
  await writeFile(join(units, 'docker.service'), '[Service]\nType=oneshot\nExecStart=true\n')
  for (const file of unitFiles) await copyFile(file, join(units, basename(file)))
  for (const [unit, text] of Object.entries(dropIns)) {
    await mkdir(join(units, `${unit}.d`))
    await writeFile(join(units, `${unit}.d`, 'test.conf'), text)
  }
  await writeFile(join(folder.path, 'boot.sh'), boot)
  const namespaces = [
    '--pid',
    '--fork',
    '--kill-child=SIGKILL',
    '--mount',
    '--mount-proc',
    '--cgroup',
    '--uts',
    '--ipc',
  ]
  const child = spawn(
    'unshare',
    [...namespaces, 'sh', join(folder.path, 'boot.sh'), folder.path, process.execPath, visible.join(' ')],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'] },
    },
  )
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (log += chunk))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const inside = (command: string): Promise<Finished> => {
    const [pid = ''] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')
    return run('nsenter', ['-t', pid, '-m', '-p', '--', 'sh', '-c', command], { timeoutMs: 120_000 })
  }
  const machine = {
    /** Runs a command of the shell among its processes and mounts. */
    inside,
    log: () => log,
    /** A property of a unit, as `systemctl show` has it. */
    async property(unit: string, name: string): Promise<string> {
      return (await inside(`systemctl show ${unit} -P ${name}`)).stdout.trim()
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
      await folder[Symbol.asyncDispose]()
    },
  }
  await until(
    'systemd answers',
    async () => (await inside('systemctl is-system-running')).stdout.trim() === 'running',
    {
      withinMs: 30_000,
    },
  ).catch(async (error: Error) => {
    await machine[Symbol.asyncDispose]()
    throw new Error(`${error.message}; it said:\n${log}`)
  })
  return machine
}

/** argv: folder, node, folders below /run that stay. An overlay's upper layer must not lie on another overlay, so it is on a tmpfs. */
const boot = `set -e
folder=$1 node=$2 visible=$3 tree=$PWD
mount --make-rprivate /
if grep -q name=systemd /proc/self/cgroup; then
  mount -t tmpfs tmpfs /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
else
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mkdir "$folder/run"
mount -t tmpfs tmpfs "$folder/run"
for each in $visible; do
  mkdir -p "$folder$each"
  mount --bind "$each" "$folder$each"
done
mkdir "$folder/run/tree"
mount --bind "$tree" "$folder/run/tree"
mount -n --move "$folder/run" /run
mkdir -p /run/layers
for place in etc usr/bin; do
  mkdir -p /run/layers/$place/upper /run/layers/$place/work
  mount -t overlay overlay -o lowerdir=/$place,upperdir=/run/layers/$place/upper,workdir=/run/layers/$place/work /$place
done
touch /usr/bin/node
mount --bind "$node" /usr/bin/node
for place in opt var; do mount -t tmpfs tmpfs /$place; done
mkdir -p /var/lib /var/tmp /var/backups ${treeInside}
mount --bind /run/tree ${treeInside}
export container=docker SYSTEMD_UNIT_PATH="$folder/units" SYSTEMD_PROC_CMDLINE="systemd.unit=multi-user.target"
exec ${program} --system --log-target=console --show-status=0
`
