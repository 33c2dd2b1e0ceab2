import type { BlockRate, ComposeService, DeviceReservation } from './model.ts'
import { nanoCpusOf, numberOf } from './quantities.ts'

const restartNames: Record<string, string> = { none: 'no', any: 'always' }

/** The restart policy a service is to have; `deploy.restart_policy` wins over `restart`, as in Compose. */
export function restartPolicy(body: ComposeService): { Name: string; MaximumRetryCount: number } {
  const policy = body.deploy?.restart_policy
  if (policy) {
    const condition = policy.condition ?? 'no'
    return { Name: restartNames[condition] ?? condition, MaximumRetryCount: policy.max_attempts ?? 0 }
  }
  const [name = '', attempts = '0'] = (body.restart ?? 'no').split(':')
  return { Name: restartNames[name] ?? name, MaximumRetryCount: Number(attempts) }
}

/** `systempaths=unconfined` is no option of the Engine: it stands for empty lists of hidden paths. */
export function securityOptions(body: ComposeService): {
  options: string[] | undefined
  unconfined: boolean
} {
  const options = body.security_opt?.filter((option) => option !== 'systempaths=unconfined')
  return { options, unconfined: options?.length !== body.security_opt?.length }
}

function devicesOf(body: ComposeService): Record<string, string>[] | undefined {
  return body.devices?.map((device) => {
    const [source = '', target, permissions] =
      typeof device === 'string' ? device.split(':') : [device.source, device.target, device.permissions]
    return { PathOnHost: source, PathInContainer: target || source, CgroupPermissions: permissions || 'rwm' }
  })
}

function deviceRequest(device: DeviceReservation): Record<string, unknown> {
  return {
    Driver: device.driver ?? '',
    Count: device.count === 'all' ? -1 : numberOf(device.count),
    ...(device.device_ids && { DeviceIDs: device.device_ids }),
    Capabilities: [device.capabilities ?? []],
    ...(device.options && { Options: device.options }),
  }
}

function ulimitsOf(body: ComposeService): Record<string, unknown>[] | undefined {
  if (!body.ulimits) return undefined
  return Object.entries(body.ulimits).map(([name, limit]) => {
    const { soft = 0, hard = 0 } = typeof limit === 'object' ? limit : { soft: limit, hard: limit }
    return { Name: name, Soft: soft, Hard: hard }
  })
}

function blockRates(rates: BlockRate[] | undefined): Record<string, unknown>[] | undefined {
  return rates?.map(({ path, rate }) => ({ Path: path, Rate: numberOf(rate) }))
}

function blockResources({ blkio_config: block }: ComposeService): Record<string, unknown> {
  if (!block) return {}
  return {
    BlkioWeight: block.weight,
    BlkioWeightDevice: block.weight_device?.map(({ path, weight }) => ({ Path: path, Weight: weight })),
    BlkioDeviceReadBps: blockRates(block.device_read_bps),
    BlkioDeviceReadIOps: blockRates(block.device_read_iops),
    BlkioDeviceWriteBps: blockRates(block.device_write_bps),
    BlkioDeviceWriteIOps: blockRates(block.device_write_iops),
  }
}

/** A quantity that is absent or zero is left to the Engine. */
function positive(quantity: number): number | undefined {
  return quantity === 0 ? undefined : quantity
}

/** Limits and devices: the `Resources` part of HostConfig. `deploy.resources` wins over the old keys. */
export function resources(body: ComposeService): Record<string, unknown> {
  const { limits, reservations } = body.deploy?.resources ?? {}
  const requests = reservations?.devices?.map(deviceRequest)
  return {
    ...blockResources(body),
    CgroupParent: body.cgroup_parent,
    CpuPeriod: positive(numberOf(body.cpu_period)),
    CpuQuota: positive(numberOf(body.cpu_quota)),
    CpuRealtimePeriod: positive(numberOf(body.cpu_rt_period)),
    CpuRealtimeRuntime: positive(numberOf(body.cpu_rt_runtime)),
    CpuShares: positive(numberOf(body.cpu_shares)),
    CpusetCpus: body.cpuset,
    DeviceCgroupRules: body.device_cgroup_rules,
    DeviceRequests: requests,
    Devices: devicesOf(body),
    Memory: positive(numberOf(limits?.memory) || numberOf(body.mem_limit)),
    MemoryReservation: positive(numberOf(reservations?.memory) || numberOf(body.mem_reservation)),
    MemorySwap: positive(numberOf(body.memswap_limit)),
    MemorySwappiness: positive(numberOf(body.mem_swappiness)),
    NanoCpus: positive(nanoCpusOf(limits?.cpus) || nanoCpusOf(body.cpus)),
    OomKillDisable: body.oom_kill_disable,
    PidsLimit: positive(numberOf(limits?.pids) || numberOf(body.pids_limit)),
    Ulimits: ulimitsOf(body),
  }
}
