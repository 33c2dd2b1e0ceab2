/**
 * The body that `POST /containers/create` takes, as far as Samovar speaks it (Engine API 1.41 to 1.5x;
 * names as on the wire). compose/ makes these bodies, the engines take them.
 */
export type ContainerBody = {
  Image: string
  Hostname?: string
  Domainname?: string
  User?: string
  Env?: string[]
  Cmd?: string[]
  Entrypoint?: string[]
  WorkingDir?: string
  Labels: Record<string, string>
  ExposedPorts?: Record<string, object>
  Volumes?: Record<string, object>
  Tty?: boolean
  OpenStdin?: boolean
  StdinOnce?: boolean
  AttachStdin?: boolean
  AttachStdout?: boolean
  AttachStderr?: boolean
  StopSignal?: string
  /** Seconds. */
  StopTimeout?: number
  Healthcheck?: HealthcheckBody
  HostConfig: HostConfigBody
  /** The first network goes into the create call; the others are connected before the start. */
  NetworkingConfig?: { EndpointsConfig: Record<string, EndpointBody> }
  MacAddress?: string
}

/** Durations are nanoseconds, as the Engine has them. */
export type HealthcheckBody = {
  Test?: string[]
  Interval?: number
  Timeout?: number
  Retries?: number
  StartPeriod?: number
  StartInterval?: number
}

export type HostConfigBody = {
  NetworkMode?: string
  RestartPolicy?: { Name: string; MaximumRetryCount?: number }
  Binds?: string[]
  Mounts?: Record<string, unknown>[]
  PortBindings?: Record<string, { HostIp?: string; HostPort?: string }[]>
  [key: string]: unknown
}

export type EndpointBody = {
  Aliases?: string[]
  Links?: string[]
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string; LinkLocalIPs?: string[] }
  DriverOpts?: Record<string, string>
  MacAddress?: string
  GwPriority?: number
}

/** A network of the project, with Compose's own name and labels. */
export type NetworkBody = {
  name: string
  external: boolean
  driver?: string
  driverOptions?: Record<string, string>
  internal?: boolean
  attachable?: boolean
  enableIPv6?: boolean
  ipam?: { Driver?: string; Config?: Record<string, unknown>[]; Options?: Record<string, string> }
  labels: Record<string, string>
}

/** A named volume of the project, with Compose's own name and labels. */
export type VolumeBody = {
  name: string
  external: boolean
  driver?: string
  driverOptions?: Record<string, string>
  labels: Record<string, string>
}

/** What an image adds to a container that does not say otherwise (`Config` of the image's inspect). */
export type ImageDefaults = {
  Env?: string[] | null
  Cmd?: string[] | null
  Entrypoint?: string[] | null
  WorkingDir?: string
  User?: string
  StopSignal?: string
  Labels?: Record<string, string> | null
  ExposedPorts?: Record<string, object> | null
  Volumes?: Record<string, object> | null
  Healthcheck?: HealthcheckBody | null
}

/** One field of a configuration that is not as desired, in Compose's words, safe to show. */
export type FieldDifference = { field: string; before: string; after: string }
