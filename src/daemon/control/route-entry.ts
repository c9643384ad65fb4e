// One mirrored route as `ip -j route` would show it.

import type {
  DirectRouteStatus,
  RouteEntry,
  RouteFlag,
  RouteGateway,
} from "../../control/target.js";
import type { AddressWords } from "../../netlink/route-messages.js";
import { RouteProtocol, RouteScope, RouteTable } from "../../netlink/rtnetlink-constants.js";
import { formatIp, formatPrefix, type IpPrefix } from "../../wire/ip-address.js";
import type { BodyHop, RouteBody } from "../route-bodies.js";
import type { MirroredRoute } from "../tunnel-routes.js";

/** /etc/iproute2/rt_protos of iproute2 6.1, and our own. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  ...{ 0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra" },
  ...{ 10: "mrt", 11: "zebra", 12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp" },
  ...{ 18: "keepalived", 42: "babel", 99: "openr", 186: "bgp", 187: "isis", 188: "ospf" },
  ...{ 189: "rip", 192: "eigrp", [RouteProtocol.culvert]: "culvert" },
};
const TABLES: Readonly<Record<number, string>> = { 253: "default" };
const SCOPES: Readonly<Record<number, string>> = {
  [RouteScope.link]: "link",
  [RouteScope.host]: "host",
};

export function routeEntry(dev: string, { prefix, body }: MirroredRoute): RouteEntry {
  const { table, protocol, metric, scope, hops } = body;
  const [first] = hops;
  const single = hops.length === 1;
  return {
    dst: destinationText(prefix),
    ...(single ? gatewayOf(body, first) : {}),
    dev,
    ...(table === RouteTable.main ? {} : { table: TABLES[table] ?? String(table) }),
    protocol: PROTOCOLS[protocol] ?? String(protocol),
    ...(scope === RouteScope.universe ? {} : { scope: SCOPES[scope] ?? String(scope) }),
    ...(metric === 0 ? {} : { metric }),
    ...(single ? {} : { nexthops: hops.map((hop) => nextHop(dev, body, hop)) }),
    flags: single ? flagsOf(first) : [],
  };
}

/** What `direct` takes out of a tunnel: over the underlay's device. */
export function directEntry({ to, via, dev, metric }: DirectRouteStatus): RouteEntry {
  return {
    ...{ dst: to, gateway: via, dev },
    protocol: PROTOCOLS[RouteProtocol.culvert],
    ...(metric === 0 ? {} : { metric }),
    flags: [],
  };
}

function nextHop(dev: string, body: RouteBody, hop: BodyHop) {
  const { weight } = hop.given;
  return { ...gatewayOf(body, hop), dev, weight, flags: flagsOf(hop) };
}

function gatewayOf({ family }: RouteBody, { given: { gateway } }: BodyHop): RouteGateway {
  if (gateway === undefined) return {};
  const host = gatewayText(gateway);
  const gatewayFamily = host.includes(":") ? 6 : 4;
  if (family === gatewayFamily) return { gateway: host };
  // Of an IPv6 route the gateway is IPv6, also where it is an IPv4-mapped address.
  if (family === 6) return { gateway: `::ffff:${host}` };
  return { via: { family: "inet6", host } };
}

/** With the IPv4 address of `::a.b.c.d` as such: that is what it is for. */
function gatewayText(gateway: AddressWords): string {
  const [w0, w1, w2, w3] = gateway;
  if (w0 === 0 && w1 === 0 && w2 === 0 && w3 > 0xffff) return `::${formatIp(0, 0, 0xffff, w3)}`;
  return formatIp(...gateway);
}

function flagsOf({ given, outer, problem }: BodyHop): RouteFlag[] {
  return [
    ...(given.onlink ? (["onlink"] as const) : []),
    ...(problem === undefined ? [] : [problem]),
    ...(outer?.looped === true ? (["recursive"] as const) : []),
  ];
}

/** As `ip route` prints it: a whole address without its length. */
function destinationText(prefix: IpPrefix): string {
  if (prefix.length === 0) return "default";
  if (prefix.length !== (prefix.family === 4 ? 32 : 128)) return formatPrefix(prefix);
  const { w0, w1, w2, w3 } = prefix.ip;
  return formatIp(w0, w1, w2, w3);
}
