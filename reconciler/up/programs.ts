import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'

/** `until-reboot`: it runs, and nobody starts it at the next boot. */
export type UnitState = 'none' | 'unknown' | 'inactive' | 'until-reboot' | 'active'

/** Other programs of this machine, as far as setting it up takes them. */
export type Programs = {
  /** Whether systemd runs this machine, and knows the unit. */
  unit(name: string): Promise<UnitState>
  /** Starts a unit, now and at each boot; one that runs goes on as it is. @throws Error with what systemctl said */
  enable(name: string): Promise<void>
  /** @throws Error with what systemctl said */
  restart(name: string): Promise<void>
}

/** systemd's, by its own program. /run/systemd/system is there exactly when it runs (sd_booted(3)). */
export const programs: Programs = {
  async unit(name) {
    if (!existsSync('/run/systemd/system')) return 'none'
    if ((await systemctl(['cat', name])).exitCode !== 0) return 'unknown'
    const isActive = (await systemctl(['is-active', '--quiet', name])).exitCode === 0
    const isEnabled = (await systemctl(['is-enabled', '--quiet', name])).exitCode === 0
    if (!isActive) return 'inactive'
    return isEnabled ? 'active' : 'until-reboot'
  },
  enable: (name) => mustRun(['enable', '--now', name]),
  restart: (name) => mustRun(['restart', name]),
}

async function mustRun(words: string[]): Promise<void> {
  const { exitCode, said } = await systemctl(words)
  if (exitCode !== 0) throw new Error(`systemctl ${words.join(' ')} failed: ${said}`)
}

function systemctl(words: string[]): Promise<{ exitCode: number; said: string }> {
  const child = spawn('systemctl', words, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ exitCode: 127, said: error.message }))
    child.once('close', (code) => resolve({ exitCode: code ?? 1, said: said.trim() }))
  })
}
