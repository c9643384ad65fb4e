// Cross-checks of IPIP tunnels: the family of the outer header against addresses, routes and what
// the mode carries.

import { type AddressFamily, canonicalAddress, familyOf } from "./addresses.js";
import { defaultValues } from "./default-values.js";
import { ipipFamily } from "./effective.js";
import type { Finding, Path } from "./problems.js";
import type { IpipTunnelDocument } from "./schema.js";
import type { Draft } from "./validate.js";

type IpipDraft = Draft<IpipTunnelDocument>;
type Mode = NonNullable<IpipTunnelDocument["mode"]>;

/** Outer family that a mode needs; `any` goes in both. */
const OUTER: Readonly<Record<Exclude<Mode, "any">, AddressFamily>> = {
  ipip: 4,
  sit: 4,
  ipip6: 6,
  ip6ip6: 6,
};
/** What is carried. */
const INNER: Readonly<Record<Mode, readonly AddressFamily[]>> = {
  ipip: [4],
  sit: [6],
  ipip6: [4],
  ip6ip6: [6],
  any: [4, 6],
};

function outerFamily({ local, remote, mode }: IpipDraft): AddressFamily {
  return ipipFamily({
    ...(local === undefined ? {} : { local }),
    ...(remote === undefined ? {} : { remote }),
    ...(mode === undefined ? {} : { mode }),
  });
}

function modeOf(tunnel: IpipDraft): Mode {
  return tunnel.mode ?? (outerFamily(tunnel) === 4 ? "ipip" : "ipip6");
}

function checkSource(tunnel: IpipDraft, path: Path): Finding[] {
  const { name, dev, local, mode } = tunnel;
  const findings: Finding[] = [];
  if (!Object.hasOwn(tunnel, "local") && !Object.hasOwn(tunnel, "dev")) {
    const expected = "`local` (an address of this host, or any), `dev` (its device), or both";
    findings.push({ path, at: "value", expected, got: "neither" });
  }
  if (dev !== undefined && dev === name) {
    const expected = "a device of the underlay, not the tunnel itself";
    findings.push({ path: [...path, "dev"], at: "value", expected });
  }
  const family = outerFamily(tunnel);
  if (mode !== undefined && mode !== "any" && OUTER[mode] !== family) {
    const expected = `a mode with IPv${family} outside (${family === 4 ? "ipip, sit, any" : "ipip6, ip6ip6, any"}), as the addresses have it`;
    findings.push({ path: [...path, "mode"], at: "value", expected });
  }
  if (local === "any" && family === 6) {
    const expected = "an IPv6 address of this host: only IPv4 takes its source from the route";
    findings.push({ path: [...path, "local"], at: "value", expected });
  }
  return findings;
}

function checkRemote(tunnel: IpipDraft, path: Path): Finding[] {
  const { local, remote } = tunnel;
  if (remote === undefined || remote === "any" || local === undefined || local === "any") return [];
  const at = { path: [...path, "remote"], at: "value" } as const;
  if (familyOf(remote) !== familyOf(local)) {
    return [{ ...at, expected: `an IPv${familyOf(local)} address, as in \`local\`` }];
  }
  if (canonicalAddress(remote) !== canonicalAddress(local)) return [];
  return [{ ...at, expected: "an address other than local" }];
}

/** Next hops are outer addresses, whatever the family of the route. */
function checkOverlay(tunnel: IpipDraft, path: Path): Finding[] {
  const findings: Finding[] = [];
  const mode = modeOf(tunnel);
  const outer = outerFamily(tunnel);
  const carried = INNER[mode];
  const expectFamily = (
    text: string | undefined,
    allowed: readonly AddressFamily[],
    what: string,
    why: string,
    ...steps: (string | number)[]
  ) => {
    if (text === undefined || allowed.includes(familyOf(text))) return;
    const expected = `an IPv${allowed[0]} ${what} (${why})`;
    findings.push({ path: [...path, ...steps], at: "value", expected });
  };
  const carries = `mode ${mode} carries IPv${carried[0]} only`;
  const outside = `the outer header is IPv${outer}`;
  (tunnel.addresses ?? []).forEach((address, index) => {
    expectFamily(address, carried, "address", carries, "addresses", index);
  });
  (tunnel.routes ?? []).forEach((route, index) => {
    expectFamily(route?.to, carried, "prefix", carries, "routes", index, "to");
    expectFamily(route?.via, [outer], "address", outside, "routes", index, "via");
    if (route?.via !== undefined && route.via === tunnel.local) {
      const expected = "an address other than local";
      findings.push({ path: [...path, "routes", index, "via"], at: "value", expected });
    }
  });
  if (Array.isArray(tunnel.allow)) {
    tunnel.allow.forEach((prefix, index) => {
      expectFamily(prefix, [outer], "prefix", outside, "allow", index);
    });
  }
  return findings;
}

/**
 * Whoever does not set DF may be fragmented on the way, and fragments of a packet whose TTL does not
 * fall could loop for ever [ip-tunnel(8): "nopmtudisc" and a fixed ttl are incompatible].
 */
function checkDiscovery({ pmtudisc, ttl }: IpipDraft, path: Path): Finding[] {
  if (pmtudisc !== false || ttl === "inherit" || ttl === 0) return [];
  const expected = "`ttl: inherit` beside `pmtudisc: false`, as for `ip tunnel`";
  return [{ path: [...path, "pmtudisc"], at: "value", expected }];
}

/** Checks one IPIP tunnel. */
export function checkIpip(tunnel: IpipDraft, path: Path): Finding[] {
  return [
    ...checkSource(tunnel, path),
    ...checkRemote(tunnel, path),
    ...checkOverlay(tunnel, path),
    ...checkDiscovery(tunnel, path),
  ];
}

/** What an IPIP tunnel is found by; undefined when it cannot be told. */
export function ipipKey({ local, dev, remote, mode }: IpipDraft): string | undefined {
  const source = local === undefined || local === "any" ? local : canonicalAddress(local);
  if (source === undefined && dev === undefined) return undefined;
  const carried = INNER[mode ?? modeOf({ local, dev, remote, mode })];
  const peer = remote ?? defaultValues.ipipRemote;
  return JSON.stringify([source ?? dev, peer, carried]);
}
