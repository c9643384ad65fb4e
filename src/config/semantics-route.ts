// Cross-checks of tunnels of type route: plain routes of the host, with no device of their own.

import { canonicalAddress, canonicalPrefix, familyOf } from "./addresses.js";
import { defaultValues } from "./default-values.js";
import type { Finding, Path } from "./problems.js";
import type { RouteTunnelDocument } from "./schema.js";
import { checkRoutes } from "./semantics-device.js";
import type { Draft } from "./validate.js";

type RouteTunnelDraft = Draft<RouteTunnelDocument>;

/** The preferred source goes into each route, and is no next hop. */
function checkLocal({ local, routes }: RouteTunnelDraft, path: Path): Finding[] {
  if (local === undefined) return [];
  const findings: Finding[] = [];
  const own = canonicalAddress(local);
  (routes ?? []).forEach((route, index) => {
    const { to, via } = route ?? {};
    if (to !== undefined && familyOf(to) !== familyOf(local)) {
      const expected = `an IPv${familyOf(local)} prefix, as \`local\`; others need a tunnel of their own`;
      findings.push({ path: [...path, "routes", index, "to"], at: "value", expected });
    } else if (via !== undefined && canonicalAddress(via) === own) {
      const expected = "an address other than local";
      findings.push({ path: [...path, "routes", index, "via"], at: "value", expected });
    }
  });
  return findings;
}

/** Checks one tunnel of type route. */
export function checkRouteTunnel(tunnel: RouteTunnelDraft, path: Path): Finding[] {
  return [...checkRoutes(tunnel.routes ?? [], path, false), ...checkLocal(tunnel, path)];
}

/** The kernel has one route for a prefix and metric, whichever tunnel it is of. */
export function checkHostRoutes(tunnels: readonly [RouteTunnelDraft, number][]): Finding[] {
  const first = new Map<string, number>();
  const findings: Finding[] = [];
  for (const [{ routes }, index] of tunnels) {
    (routes ?? []).forEach((route, place) => {
      if (route?.to === undefined) return;
      const key = `${canonicalPrefix(route.to)} ${route.metric ?? defaultValues.routeMetric}`;
      const earlier = first.get(key) ?? index;
      first.set(key, earlier);
      if (earlier === index) return;
      const expected = `a prefix and metric that tunnels[${earlier}] does not have`;
      const path = ["tunnels", index, "routes", place, "to"];
      findings.push({ path, at: "value", expected });
    });
  }
  return findings;
}
