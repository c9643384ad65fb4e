// Cross-checks on what every tunnel with a device has: MTU, addresses and routes of the device; the
// checks of routes hold for plain ones as well.

import { canonicalAddress, canonicalPrefix, familyOf } from "./addresses.js";
import { configLimits, defaultValues } from "./default-values.js";
import type { Finding, Path } from "./problems.js";
import type { DeviceTunnelDocument, RouteDocument } from "./schema.js";
import type { Draft } from "./validate.js";

type DeviceDraft = Draft<DeviceTunnelDocument>;

/** The kernel takes IPv6 off a device whose MTU falls below 1280 (RFC 8200 section 5). */
function checkMtu(tunnel: DeviceDraft, path: Path): Finding[] {
  const { mtu, addresses, routes } = tunnel;
  const least = configLimits.mtuMinIpv6_bytes;
  const most = configLimits.mtuMaxTap_bytes;
  if (typeof mtu !== "number") return [];
  if (tunnel.type === "vxlan" && mtu > most) {
    const expected = `auto, or at most ${most}: a TAP device takes no more`;
    return [{ path: [...path, "mtu"], at: "value", expected }];
  }
  if (mtu >= least) return [];
  const neighbors = tunnel.type === "vxlan" ? (tunnel.neighbors ?? []) : [];
  const overlay = [
    ...(addresses ?? []),
    ...(routes ?? []).map((route) => route?.to),
    ...neighbors.map((neighbor) => neighbor?.ip),
  ];
  if (!overlay.some((text) => text !== undefined && familyOf(text) === 6)) return [];
  const expected = `at least ${least}, because the tunnel has IPv6 addresses, routes or neighbors`;
  return [{ path: [...path, "mtu"], at: "value", expected }];
}

/** Reports every item whose key an earlier item of the list has. */
export function checkRepeated(
  keys: readonly (string | undefined)[],
  path: Path,
  what: string,
  step?: string,
): Finding[] {
  const seen = new Map<string, number>();
  const findings: Finding[] = [];
  keys.forEach((key, index) => {
    if (key === undefined) return;
    const earlier = seen.get(key);
    if (earlier === undefined) {
      seen.set(key, index);
      return;
    }
    const expected = `each ${what} once (entry [${earlier}] has it)`;
    const place = step === undefined ? [...path, index] : [...path, index, step];
    findings.push({ path: place, at: "value", expected });
  });
  return findings;
}

/**
 * @param path of the tunnel
 * @param foreign whether next hops may be of another family than the prefix: those of an IPIP
 *   tunnel are outer addresses
 */
export function checkRoutes(
  list: readonly (Draft<RouteDocument> | undefined)[],
  path: Path,
  foreign: boolean,
): Finding[] {
  const findings: Finding[] = [];
  list.forEach((route, index) => {
    if (route === undefined) return;
    const { to, via, onlink } = route;
    const known = to !== undefined && via !== undefined;
    if (!foreign && known && familyOf(to) !== familyOf(via)) {
      const expected = `an IPv${familyOf(to)} address, as in \`to\``;
      findings.push({ path: [...path, "routes", index, "via"], at: "value", expected });
    }
    if (onlink === true && !Object.hasOwn(route, "via")) {
      const expected = "`via` beside onlink, which says that the next hop is on this link";
      findings.push({ path: [...path, "routes", index, "onlink"], at: "value", expected });
    }
  });
  const keys = list.map((route) =>
    route?.to === undefined
      ? undefined
      : `${canonicalPrefix(route.to)} ${route.metric ?? defaultValues.routeMetric}`,
  );
  const repeated = checkRepeated(keys, [...path, "routes"], "prefix and metric", "to");
  return [...findings, ...repeated];
}

/** Checks MTU, addresses and routes of one tunnel with a device, whatever its type. */
export function checkDevice(tunnel: DeviceDraft, path: Path): Finding[] {
  const addresses = (tunnel.addresses ?? []).map((text) =>
    text === undefined ? undefined : canonicalAddress(text.split("/")[0]),
  );
  return [
    ...checkMtu(tunnel, path),
    ...checkRepeated(addresses, [...path, "addresses"], "address"),
    ...checkRoutes(tunnel.routes ?? [], path, tunnel.type === "ipip"),
  ];
}
