// The shape of the configuration file: every key, its type and its range, for zod. A message here
// is never a sentence: it is the words for what was expected, which load.ts puts beside what it
// found. Rules that span several keys stand in semantics.ts; defaults are filled in by
// effective.ts.

import { z } from "zod";
import {
  addressFault,
  EXPECTED_ADDRESS,
  EXPECTED_FDB_MAC,
  EXPECTED_GROUP,
  EXPECTED_INTERFACE_ADDRESS,
  EXPECTED_LISTEN,
  EXPECTED_MAC,
  EXPECTED_NEIGHBOR,
  EXPECTED_PORT_RANGE,
  EXPECTED_PREFIX,
  EXPECTED_UNDERLAY,
  type Fault,
  fdbMacFault,
  groupFault,
  interfaceAddressFault,
  listenFault,
  macFault,
  neighborFault,
  portRangeFault,
  prefixFault,
  underlayFault,
} from "./addresses.js";
import { configLimits as limits } from "./default-values.js";
import { deviceNameFault, EXPECTED_DEVICE_NAME } from "./device-name.js";

/** Separates known keys in the message of an unknown key, see `knownKeysOf`. */
const KEY_SEPARATOR = " ";

/** A string that `fault` finds nothing wrong with. */
function text(expected: string, fault: Fault) {
  return z.string({ error: expected }).check((context) => {
    const message = fault(context.value);
    if (message === undefined) return;
    context.issues.push({ code: "custom", message, input: context.value });
  });
}

function wholeNumber(min: number, max: number, prefix = "") {
  const error = `${prefix}a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A word or a whole number; both branches expect the same words. */
function wordOrWholeNumber<const Word extends string>(word: Word, min: number, max: number) {
  const prefix = `${word}, or `;
  const error = `${prefix}a whole number from ${min} to ${max}`;
  return z.union([z.literal(word), wholeNumber(min, max, prefix)], { error });
}

function oneOf<const Word extends string>(...words: readonly Word[]) {
  const list = `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}`;
  return z.enum(words, { error: list });
}

/**
 * A mapping that knows all its keys; the message for an unknown key is the list of the known ones.
 */
function mapping<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const keys = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? keys.join(KEY_SEPARATOR)
        : `a mapping with ${keys.join(", ")}`,
  });
}

/** The keys that a mapping knows, from the message of its `unrecognized_keys` issue. */
export function knownKeysOf(message: string): string[] {
  return message.split(KEY_SEPARATOR);
}

function list<Item extends z.ZodType>(what: string, item: Item, max = Number.POSITIVE_INFINITY) {
  const error = Number.isFinite(max) ? `a list of at most ${max} ${what}` : `a list of ${what}`;
  return z.array(item, { error }).max(max, { error });
}

const flag = z.boolean({ error: "true or false" });
const port = wholeNumber(1, limits.port);
const vni = wholeNumber(0, limits.vni);
const deviceName = text(EXPECTED_DEVICE_NAME, deviceNameFault);
const underlayAddress = text(EXPECTED_UNDERLAY, underlayFault);
const ipAddress = text(EXPECTED_ADDRESS, addressFault);
const prefix = text(EXPECTED_PREFIX, prefixFault);

const EXPECTED_SOCKET = `an absolute path of at most ${limits.socketPath_bytes} bytes`;
const socketPath = text(EXPECTED_SOCKET, (path) => {
  const length_bytes = Buffer.byteLength(path, "utf8");
  const usable = path.startsWith("/") && !path.endsWith("/") && !/\p{Cc}/u.test(path);
  return usable && length_bytes <= limits.socketPath_bytes ? undefined : EXPECTED_SOCKET;
});

const ANY_UNDERLAY = `any, or ${EXPECTED_UNDERLAY}`;
const anyOrUnderlay = text(ANY_UNDERLAY, (value) =>
  value === "any" || underlayFault(value) === undefined ? undefined : ANY_UNDERLAY,
);

const AUTO_MAC = `auto, or ${EXPECTED_MAC}`;
const deviceMac = text(AUTO_MAC, (value) =>
  value === "auto" || macFault(value) === undefined ? undefined : AUTO_MAC,
);

const allow = z.union(
  [
    oneOf("known", "any"),
    list("prefixes", prefix).min(1, { error: "known, any, or a list of at least one prefix" }),
  ],
  { error: `known, any, or a list of prefixes such as [10.57.4.0/24]` },
);

const route = mapping({
  to: prefix,
  via: ipAddress.optional(),
  onlink: flag.optional(),
  metric: wholeNumber(0, limits.routeMetric).optional(),
});

const gbpGroup = wholeNumber(0, limits.gbpGroup);

const remoteShape = {
  dst: underlayAddress,
  port: port.optional(),
  vni: vni.optional(),
  gbp: gbpGroup.optional(),
};

const remote = z.union([underlayAddress, mapping(remoteShape)], {
  error: `${EXPECTED_UNDERLAY}, or a mapping with dst, port, vni, gbp`,
});

const fdbEntry = mapping({
  mac: text(EXPECTED_FDB_MAC, fdbMacFault),
  ...remoteShape,
  router: flag.optional(),
});

const neighbor = mapping({
  ip: text(EXPECTED_NEIGHBOR, neighborFault),
  mac: text(EXPECTED_MAC, macFault),
  router: flag.optional(),
});

const GBP = "off, or a mapping with id and allow";
const gbp = z.union(
  [
    z.literal("off"),
    mapping({
      id: gbpGroup,
      allow: z
        .union([z.literal("any"), list("group ids", gbpGroup, limits.gbpGroups)], {
          error: "any, or a list of group ids",
        })
        .optional(),
    }),
  ],
  { error: GBP },
);

/** YAML gives a lone port as a number. */
const portRange = z.union([port, text(EXPECTED_PORT_RANGE, portRangeFault)], {
  error: EXPECTED_PORT_RANGE,
});

const commonShape = {
  name: deviceName,
  mtu: wordOrWholeNumber("auto", limits.mtuMin_bytes, limits.mtuMax_bytes).optional(),
  addresses: list("addresses", text(EXPECTED_INTERFACE_ADDRESS, interfaceAddressFault)).optional(),
  routes: list("routes", route).optional(),
  direct: flag.optional(),
  allow: allow.optional(),
};

const vxlanTunnel = mapping({
  ...commonShape,
  type: z.literal("vxlan"),
  vni,
  local: underlayAddress.optional(),
  dev: deviceName.optional(),
  port: port.optional(),
  srcport: portRange.optional(),
  ttl: wordOrWholeNumber("inherit", 0, limits.ttl).optional(),
  tos: wordOrWholeNumber("inherit", 0, limits.tos).optional(),
  df: oneOf("unset", "set", "inherit").optional(),
  flowlabel: wordOrWholeNumber("auto", 0, limits.flowLabel).optional(),
  udp_csum: flag.optional(),
  udp6_zero_csum_tx: flag.optional(),
  udp6_zero_csum_rx: flag.optional(),
  remcsum_tx: flag.optional(),
  remcsum_rx: flag.optional(),
  gbp: gbp.optional(),
  mac: deviceMac.optional(),
  learning: flag.optional(),
  ageing_s: wholeNumber(0, limits.ageing_s).optional(),
  max_entries: wholeNumber(1, limits.entries).optional(),
  proxy: flag.optional(),
  rsc: flag.optional(),
  l2miss: flag.optional(),
  l3miss: flag.optional(),
  notify: flag.optional(),
  keepalive_s: wholeNumber(0, limits.keepalive_s).optional(),
  bum_limit_pps: wholeNumber(0, limits.bumLimit_pps).optional(),
  max_macs_per_remote: wholeNumber(0, limits.entries).optional(),
  strict_reserved: flag.optional(),
  inner_vlan: oneOf("pass", "drop").optional(),
  remote: underlayAddress.optional(),
  group: text(EXPECTED_GROUP, groupFault).optional(),
  remotes: list("remotes", remote, limits.remotes).optional(),
  fdb: list("FDB entries", fdbEntry).optional(),
  neighbors: list("neighbors", neighbor).optional(),
});

const ipipTunnel = mapping({
  ...commonShape,
  type: z.literal("ipip"),
  mode: oneOf("ipip", "sit", "ipip6", "ip6ip6", "any").optional(),
  local: anyOrUnderlay.optional(),
  dev: deviceName.optional(),
  remote: anyOrUnderlay.optional(),
  ttl: wordOrWholeNumber("inherit", 0, limits.ttl).optional(),
  tos: wordOrWholeNumber("inherit", 0, limits.tos).optional(),
  pmtudisc: flag.optional(),
});

const hostRoute = mapping({
  to: prefix,
  via: underlayAddress,
  metric: wholeNumber(0, limits.routeMetric).optional(),
});

const EXPECTED_HOST_ROUTES = "a list of at least one route";
const routeTunnel = mapping({
  name: deviceName,
  type: z.literal("route"),
  dev: deviceName.optional(),
  local: underlayAddress.optional(),
  routes: z.array(hostRoute, { error: EXPECTED_HOST_ROUTES }).min(1, {
    error: EXPECTED_HOST_ROUTES,
  }),
});

const tunnel = z.discriminatedUnion("type", [vxlanTunnel, ipipTunnel, routeTunnel], {
  error: (issue) =>
    issue.code === "invalid_union"
      ? "vxlan, ipip or route"
      : "a mapping with name, type and the keys of that type",
});

/** What can still be checked of a tunnel whose `type` is missing or wrong. */
export const typelessTunnelSchema = z.looseObject(commonShape);

const EXPECTED_TUNNELS = `a list of 1 to ${limits.tunnels} tunnels`;

/** The whole file. */
export const configSchema = mapping({
  control: mapping({ socket: socketPath.optional() }).optional(),
  log: mapping({
    level: oneOf("trace", "debug", "info", "warn", "error", "fatal").optional(),
  }).optional(),
  metrics: mapping({ listen: text(EXPECTED_LISTEN, listenFault).optional() }).optional(),
  workers: wordOrWholeNumber("auto", 1, limits.workers).optional(),
  busy_poll_us: wholeNumber(0, limits.busyPoll_us).optional(),
  offloads: mapping({
    tso: flag.optional(),
    uso: flag.optional(),
    udp_segment: flag.optional(),
    udp_gro: flag.optional(),
    tun_checksum: flag.optional(),
  }).optional(),
  tunnels: z
    .array(tunnel, { error: EXPECTED_TUNNELS })
    .min(1, { error: EXPECTED_TUNNELS })
    .max(limits.tunnels, { error: EXPECTED_TUNNELS }),
});

/** The document as it stands in the file, validated, without defaults. */
export type ConfigDocument = z.infer<typeof configSchema>;
export type TunnelDocument = ConfigDocument["tunnels"][number];
export type VxlanTunnelDocument = Extract<TunnelDocument, { type: "vxlan" }>;
export type IpipTunnelDocument = Extract<TunnelDocument, { type: "ipip" }>;
export type RouteTunnelDocument = Extract<TunnelDocument, { type: "route" }>;
export type DeviceTunnelDocument = VxlanTunnelDocument | IpipTunnelDocument;
export type RouteDocument = z.infer<typeof route>;
export type RemoteDocument = z.infer<typeof remote>;
export type GbpDocument = z.infer<typeof gbp>;
