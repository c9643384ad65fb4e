// Cross-checks of IPIP tunnels: the family of the outer header against addresses, routes and what
// the mode carries.

import {
  type AddressFamily,
  canonicalAddress,
  EXPECTED_UNDERLAY,
  familyOf,
  neighborFault,
  underlayFault,
} from "./addresses.js";
import { defaultValues } from "./default-values.js";
import { ipipFamily } from "./effective.js";
import { CARRIED_VERSIONS } from "./ipip-modes.js";
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

/** What a tunnel carries, as far as that is known. */
function carriedBy(tunnel: IpipDraft): readonly AddressFamily[] {
  return CARRIED_VERSIONS[modeOf(tunnel)];
}

const sameAddress = (a: string | undefined, b: string | undefined): boolean =>
  a !== undefined && b !== undefined && canonicalAddress(a) === canonicalAddress(b);

/** Where the outer source comes from. */
function checkSource(tunnel: IpipDraft, path: Path): Finding[] {
  const { name, dev, local } = tunnel;
  const findings: Finding[] = [];
  if (!Object.hasOwn(tunnel, "local") && !Object.hasOwn(tunnel, "dev")) {
    const expected = "`local` (an address of this host, or any), `dev` (its device), or both";
    findings.push({ path, at: "value", expected, got: "neither" });
  }
  if (dev !== undefined && dev === name) {
    const expected = "a device of the underlay, not the tunnel itself";
    findings.push({ path: [...path, "dev"], at: "value", expected });
  }
  if (local === "any" && outerFamily(tunnel) === 6) {
    const expected = "an IPv6 address of this host: only over IPv4 does the route give the source";
    findings.push({ path: [...path, "local"], at: "value", expected });
  }
  return findings;
}

/** A mode that says what is outside must agree with the addresses that say it too. */
function checkMode(tunnel: IpipDraft, path: Path): Finding[] {
  const { mode } = tunnel;
  const family = outerFamily(tunnel);
  if (mode === undefined || mode === "any" || OUTER[mode] === family) return [];
  const modes = family === 4 ? "ipip, sit or any" : "ipip6, ip6ip6 or any";
  const expected = `${modes}, because the outer addresses are IPv${family}`;
  return [{ path: [...path, "mode"], at: "value", expected }];
}

function checkRemote({ local, remote }: IpipDraft, path: Path): Finding[] {
  if (remote === undefined || remote === "any" || local === undefined || local === "any") return [];
  const at = { path: [...path, "remote"], at: "value" } as const;
  if (familyOf(remote) !== familyOf(local)) {
    return [{ ...at, expected: `an IPv${familyOf(local)} address, as in \`local\`` }];
  }
  if (!sameAddress(remote, local)) return [];
  return [{ ...at, expected: "an address other than local" }];
}

/** A finding unless `text` is of one of the families `allowed`. */
function checkFamily(
  text: string | undefined,
  allowed: readonly AddressFamily[],
  what: string,
  path: Path,
): Finding[] {
  if (text === undefined || allowed.includes(familyOf(text))) return [];
  return [{ path, at: "value", expected: `an IPv${allowed[0]} ${what}` }];
}

/**
 * Next hops are outer addresses, whatever the family of the route, unless a remote gets everything:
 * then they are what they are on any device, and no more than the kernel's business.
 */
function checkOverlay(tunnel: IpipDraft, path: Path): Finding[] {
  const carried = carriedBy(tunnel);
  const outer = outerFamily(tunnel);
  const carries = `(mode ${modeOf(tunnel)} carries IPv${carried[0]} only)`;
  const outside = `(the outer header is IPv${outer})`;
  const toOne = tunnel.remote !== undefined && tunnel.remote !== "any";
  const addresses = (tunnel.addresses ?? []).flatMap((address, index) =>
    checkFamily(address, carried, `address ${carries}`, [...path, "addresses", index]),
  );
  const routes = (tunnel.routes ?? []).flatMap((route, index) => {
    const at = [...path, "routes", index];
    const { to, via } = route ?? {};
    const hop = to !== undefined && toOne ? familyOf(to) : outer;
    const why = toOne ? "(of the family of `to`: `remote` is the outer destination)" : outside;
    return [
      ...checkFamily(to, carried, `prefix ${carries}`, [...at, "to"]),
      ...checkFamily(via, [hop], `address ${why}`, [...at, "via"]),
      ...checkNextHop(via, tunnel, toOne, [...at, "via"]),
    ];
  });
  const allow = Array.isArray(tunnel.allow) ? tunnel.allow : [];
  const sources = allow.flatMap((prefix, index) =>
    checkFamily(prefix, [outer], `prefix ${outside}`, [...path, "allow", index]),
  );
  return [...addresses, ...routes, ...sources];
}

/** The kernel refuses what is no unicast address, with few words; an outer one is more than that. */
function checkNextHop(
  via: string | undefined,
  { local }: IpipDraft,
  toOne: boolean,
  path: Path,
): Finding[] {
  if (via === undefined) return [];
  const unicast = neighborFault(via) === undefined;
  const expected = unicast ? (toOne ? undefined : underlayFault(via)) : EXPECTED_UNDERLAY;
  if (expected !== undefined) return [{ path, at: "value", expected }];
  if (!sameAddress(via, local)) return [];
  return [{ path, at: "value", expected: "an address other than local" }];
}

/**
 * A packet that loops through tunnels with a TTL of their own ends only because it grows by a
 * header each round and DF forbids its fragments [net/ipv4/ip_gre.c; ip-tunnel(8) refuses the
 * same].
 */
function checkDiscovery(tunnel: IpipDraft, path: Path): Finding[] {
  const { pmtudisc, ttl } = tunnel;
  if (pmtudisc !== false) return [];
  const at = { path: [...path, "pmtudisc"], at: "value" } as const;
  if (outerFamily(tunnel) === 6) {
    return [{ ...at, expected: "true: an outer IPv6 header has no DF bit to leave out" }];
  }
  const wrong = Object.hasOwn(tunnel, "ttl") && ttl === undefined;
  if (wrong || ttl === "inherit" || ttl === 0) return [];
  return [{ ...at, expected: "true, or `ttl: inherit` beside it, as for `ip tunnel`" }];
}

/** Checks one IPIP tunnel. */
export function checkIpip(tunnel: IpipDraft, path: Path): Finding[] {
  return [
    ...checkSource(tunnel, path),
    ...checkMode(tunnel, path),
    ...checkRemote(tunnel, path),
    ...checkOverlay(tunnel, path),
    ...checkDiscovery(tunnel, path),
  ];
}

/**
 * What arriving packets find an IPIP tunnel by: the pair of outer addresses, once for each family
 * that is carried. None when it cannot be told.
 */
export function ipipKeys(tunnel: IpipDraft): string[] {
  const { local, dev, remote } = tunnel;
  const source = local === undefined || local === "any" ? (local ?? dev) : canonicalAddress(local);
  const peer = remote ?? defaultValues.ipipRemote;
  const wrong = Object.hasOwn(tunnel, "remote") && remote === undefined;
  if (source === undefined || wrong) return [];
  const to = peer === "any" ? peer : canonicalAddress(peer);
  return carriedBy(tunnel).map((family) => JSON.stringify([source, to, family]));
}
