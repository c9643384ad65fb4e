// Every default and every limit of the configuration in one place; docs/configuration.md tells the
// same numbers. Values only: what they mean stands in schema.ts, how they are filled in stands in
// effective.ts.

export const defaultValues = {
  controlSocket: "/run/culvert/culvert.sock",
  logLevel: "info",
  metricsListen: "off",
  workers: "auto",
  /** Microseconds; where it helps and what it costs: docs/performance.md. */
  busyPoll_us: 100,
  offload: true,
  mtu: "auto",
  mac: "auto",
  allow: "known",
  /** IANA's port for VXLAN, RFC 7348 section 8; the kernel's own default is 8472. */
  vxlanPort: 4789,
  /** 0: the hop limit of the route (multicast: 1), as ip-link(8) has it for vxlan. */
  vxlanTtl: 0,
  /** DSCP 0; ECN is always the inner packet's [RFC 6040]. */
  tos: 0,
  df: "unset",
  flowLabel: "auto",
  /** RFC 7348 section 5: the dynamic range; the kernel's own default is ip_local_port_range. */
  sourcePorts: "49152-65535",
  udp6ZeroChecksum: false,
  remoteChecksum: false,
  gbp: "off",
  routeShortCircuit: false,
  missEvents: false,
  notify: true,
  keepalive_s: 10,
  /** 0: no limit. */
  bumLimit_pps: 0,
  /** 0: no limit. */
  maxMacsPerRemote: 0,
  udpCsum: true,
  learning: true,
  ageing_s: 300,
  maxEntries: 65_536,
  proxy: false,
  strictReserved: false,
  innerVlan: "pass",
  ipipRemote: "any",
  ipipTtl: 64,
  pmtudisc: true,
  direct: false,
  /** 0: the kernel's choice (0 for IPv4, 1024 for IPv6). */
  routeMetric: 0,
} as const;

export const configLimits = {
  fileSize_bytes: 1 << 20,
  /** Open YAML constructs at one place; a valid configuration has about a dozen. */
  nesting: 64,
  /** Values that YAML aliases may add by repeating what stands behind their anchors. */
  aliasedNodes: 10_000,
  /** Syntax errors cascade; after this many nobody reads on. */
  syntaxProblems: 1000,
  tunnels: 4096,
  remotes: 1024,
  workers: 16,
  busyPoll_us: 1000,
  vni: 0xff_ffff,
  port: 65_535,
  ttl: 255,
  tos: 255,
  flowLabel: 0xf_ffff,
  gbpGroup: 0xffff,
  gbpGroups: 256,
  keepalive_s: 3600,
  bumLimit_pps: 10_000_000,
  entries: 1_048_576,
  ageing_s: 0x7fff_ffff,
  routeMetric: 0xffff_ffff,
  /** RFC 791 section 3.2: every internet module must forward 68 bytes without fragmentation. */
  mtuMin_bytes: 68,
  /** RFC 8200 section 5: the least MTU of a link that carries IPv6. */
  mtuMinIpv6_bytes: 1280,
  mtuMax_bytes: 65_535,
  /** ETH_MAX_MTU less an Ethernet header (drivers/net/tun.c). */
  mtuMaxTap_bytes: 65_521,
  /** IFNAMSIZ less the terminating zero. */
  deviceName_bytes: 15,
  /** `sun_path` of unix(7) less the terminating zero. */
  socketPath_bytes: 107,
} as const;
