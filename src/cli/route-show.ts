// `culvert route show`: asks for routes in pages, sorts them and prints them as `ip route` does, so
// that scripts written for one read the other.

import type {
  RouteEntry,
  RouteGateway,
  RoutePage,
  RoutePageQuery,
  RouteQuery,
} from "../control/route-target.js";
import { type IpPrefix, ipEquals, parsePrefix } from "../wire/ip-address.js";
import type { CliIo } from "./io.js";

export type RoutePages = (query: RoutePageQuery) => Promise<RoutePage>;

/** Lines that are handed to the terminal at a time. */
const LINES_AT_ONCE = 2000;

/** Every route, by device, family and prefix. */
export async function allRoutes(query: RouteQuery, pages: RoutePages): Promise<RouteEntry[]> {
  const routes: RouteEntry[] = [];
  let from: number | undefined;
  do {
    const page: RoutePage = await pages({ ...query, from });
    for (const route of page.routes) routes.push(route);
    from = page.next;
  } while (from !== undefined);
  const keyed = routes.map((route) => ({ route, prefix: prefixOf(route) }));
  keyed.sort((a, b) => {
    if (a.route.dev !== b.route.dev) return a.route.dev < b.route.dev ? -1 : 1;
    return comparePrefixes(a.prefix, b.prefix);
  });
  return keyed.map(({ route }) => route);
}

export function printRoutes(io: CliIo, routes: readonly RouteEntry[]): void {
  for (let at = 0; at < routes.length; at += LINES_AT_ONCE) {
    io.out(
      routes
        .slice(at, at + LINES_AT_ONCE)
        .map(routeText)
        .join(""),
    );
  }
}

/** One line, or several for several next hops (ip/iproute.c of iproute2 6.1). */
function routeText(route: RouteEntry): string {
  const { dst, dev, table, protocol, scope, metric, nexthops, flags } = route;
  const words = [dst, ...gatewayWords(route)];
  if (nexthops === undefined) words.push("dev", dev);
  if (table !== undefined) words.push("table", table);
  // As ip does, which sets this one itself.
  if (protocol !== "boot") words.push("proto", protocol);
  if (scope !== undefined) words.push("scope", scope);
  if (metric !== undefined) words.push("metric", String(metric));
  words.push(...flags);
  const lines = [words.join(" ")];
  for (const hop of nexthops ?? []) {
    const hopWords = [
      "nexthop",
      ...gatewayWords(hop),
      "dev",
      hop.dev,
      "weight",
      String(hop.weight),
    ];
    lines.push(`\t${[...hopWords, ...hop.flags].join(" ")}`);
  }
  return `${lines.join("\n")}\n`;
}

function gatewayWords({ gateway, via }: RouteGateway): string[] {
  if (via !== undefined) return ["via", via.family, via.host];
  return gateway === undefined ? [] : ["via", gateway];
}

/** `default` of which family? That of the gateway, or of the link's own prefixes. */
function prefixOf(route: RouteEntry): IpPrefix | undefined {
  const { dst } = route;
  if (dst !== "default") return parsePrefix(dst.includes("/") ? dst : `${dst}/${wholeLength(dst)}`);
  const gateway = route.gateway ?? route.nexthops?.find((hop) => hop.gateway)?.gateway;
  return parsePrefix(gateway?.includes(":") === true ? "::/0" : "0.0.0.0/0");
}

const wholeLength = (address: string): number => (address.includes(":") ? 128 : 32);

function comparePrefixes(a: IpPrefix | undefined, b: IpPrefix | undefined): number {
  if (a === undefined || b === undefined) return 0;
  if (a.family !== b.family) return a.family - b.family;
  if (ipEquals(a.ip, b.ip)) return a.length - b.length;
  return a.ip.w0 - b.ip.w0 || a.ip.w1 - b.ip.w1 || a.ip.w2 - b.ip.w2 || a.ip.w3 - b.ip.w3;
}
