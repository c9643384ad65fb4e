// Cross-checks of VXLAN tunnels: underlay addresses against each other, flood list, static FDB and
// neighbours.

import {
  type AddressFamily,
  canonicalAddress,
  canonicalMac,
  familyOf,
  isListMac,
  ZERO_MAC,
} from "./addresses.js";
import { configLimits, defaultValues } from "./default-values.js";
import type { Finding, Path } from "./problems.js";
import type { RemoteDocument, VxlanTunnelDocument } from "./schema.js";
import { checkRepeated } from "./semantics-device.js";
import type { Draft } from "./validate.js";

type VxlanDraft = Draft<VxlanTunnelDocument>;

/** One outer destination of the tunnel and the place where its address stands. */
interface Destination {
  dst: string;
  path: Path;
}

function dstOf(remote: Draft<RemoteDocument> | undefined): string | undefined {
  return typeof remote === "object" ? remote.dst : remote;
}

function destinations({ remote, remotes, fdb }: VxlanDraft, path: Path): Destination[] {
  const found: Destination[] = [];
  if (remote !== undefined) found.push({ dst: remote, path: [...path, "remote"] });
  (remotes ?? []).forEach((remote, index) => {
    const dst = dstOf(remote);
    const place = [...path, "remotes", index];
    if (dst === undefined) return;
    found.push({ dst, path: typeof remote === "object" ? [...place, "dst"] : place });
  });
  (fdb ?? []).forEach((entry, index) => {
    if (entry?.dst !== undefined)
      found.push({ dst: entry.dst, path: [...path, "fdb", index, "dst"] });
  });
  return found;
}

function checkUnderlay(tunnel: VxlanDraft, path: Path): Finding[] {
  const { name, dev, local } = tunnel;
  const findings: Finding[] = [];
  if (!Object.hasOwn(tunnel, "local") && !Object.hasOwn(tunnel, "dev")) {
    const expected = "`local` (an address of this host), `dev` (its device), or both";
    findings.push({ path, at: "value", expected, got: "neither" });
  }
  if (dev !== undefined && dev === name) {
    const expected = "a device of the underlay, not the tunnel itself";
    findings.push({ path: [...path, "dev"], at: "value", expected });
  }
  const all = destinations(tunnel, path);
  if (tunnel.group !== undefined) all.push({ dst: tunnel.group, path: [...path, "group"] });
  const source = local ?? all[0]?.dst;
  if (source === undefined) return findings;
  const family: AddressFamily = familyOf(source);
  const reason = local === undefined ? "as in the first remote" : "as in `local`";
  for (const { dst, path: place } of all) {
    if (familyOf(dst) !== family) {
      const expected = `an IPv${family} address, ${reason}`;
      findings.push({ path: place, at: "value", expected });
    } else if (local !== undefined && canonicalAddress(dst) === canonicalAddress(local)) {
      findings.push({ path: place, at: "value", expected: "an address other than local" });
    }
  }
  return findings;
}

/** What tells two remotes of one entry apart: (address, port, VNI), as in the kernel's FDB. */
function remoteKey(
  remote: Draft<RemoteDocument> | undefined,
  tunnel: VxlanDraft,
): string | undefined {
  const dst = dstOf(remote);
  if (dst === undefined) return undefined;
  const { port, vni } = typeof remote === "object" ? remote : {};
  const own = tunnel.port ?? defaultValues.vxlanPort;
  return [canonicalAddress(dst), port ?? own, vni ?? tunnel.vni].join(" ");
}

/** What an underlay of multicast needs [ip-link(8): `group` and `remote` are one attribute]. */
function checkGroup(tunnel: VxlanDraft, path: Path): Finding[] {
  if (!Object.hasOwn(tunnel, "group")) return [];
  const findings: Finding[] = [];
  if (!Object.hasOwn(tunnel, "dev")) {
    const expected = "`dev` beside group: the device on which the group is joined";
    findings.push({ path: [...path, "group"], at: "value", expected });
  }
  if (Object.hasOwn(tunnel, "remote")) {
    const expected = "either `remote` or `group`; further remotes stand in `remotes`";
    findings.push({ path: [...path, "remote"], at: "value", expected });
  }
  return findings;
}

/**
 * A group of frames to a remote needs a tunnel that knows groups; and it is the remote's, whichever
 * of its entries a frame goes by.
 */
function checkGbp(tunnel: VxlanDraft, path: Path): Finding[] {
  const { gbp, remotes, fdb } = tunnel;
  const off = !Object.hasOwn(tunnel, "gbp") || gbp === "off";
  const findings: Finding[] = [];
  const first = new Map<string, number>();
  const check = (remote: Draft<RemoteDocument> | undefined, ...place: (string | number)[]) => {
    if (typeof remote !== "object" || remote.gbp === undefined) return;
    const at = { path: [...path, ...place, "gbp"], at: "value" } as const;
    if (off) findings.push({ ...at, expected: "`gbp` of the tunnel as well, with its own id" });
    const key = remoteKey(remote, tunnel);
    if (key === undefined) return;
    const known = first.get(key) ?? remote.gbp;
    first.set(key, known);
    const expected = `${known}, as in another entry: a remote has one group`;
    if (known !== remote.gbp) findings.push({ ...at, expected });
  };
  (remotes ?? []).forEach((remote, index) => {
    check(remote, "remotes", index);
  });
  (fdb ?? []).forEach((entry, index) => {
    check(entry, "fdb", index);
  });
  return findings;
}

/** Prefixes of the other family let nobody in. */
function checkAllow(tunnel: VxlanDraft, path: Path): Finding[] {
  const { allow, local, group } = tunnel;
  const source = local ?? group ?? destinations(tunnel, path)[0]?.dst;
  if (source === undefined || !Array.isArray(allow)) return [];
  const family = familyOf(source);
  const expected = `an IPv${family} prefix, as the tunnel's underlay`;
  return allow.flatMap((prefix, index): Finding[] =>
    prefix === undefined || familyOf(prefix) === family
      ? []
      : [{ path: [...path, "allow", index], at: "value", expected }],
  );
}

/**
 * Only all-zero and multicast entries may have several remotes; those of the first join the flood
 * list.
 */
function checkTables(tunnel: VxlanDraft, path: Path): Finding[] {
  const { remote, remotes, fdb, neighbors } = tunnel;
  const flood = (remotes ?? []).map((member) => remoteKey(member, tunnel));
  const first = remoteKey(remote, tunnel);
  const flooded = new Set([first, ...flood].filter((key) => key !== undefined));
  const findings: Finding[] = [];
  if (first !== undefined && flood.includes(first)) {
    const expected = "each remote of the flood list once (`remote` has it)";
    const place = [...path, "remotes", flood.indexOf(first)];
    findings.push({ path: place, at: "value", expected });
  }
  const listed = new Set<string>();
  const entries = new Set<string>();
  const macs = (fdb ?? []).map((entry, index) => {
    if (entry?.mac === undefined) return undefined;
    const mac = canonicalMac(entry.mac);
    entries.add(mac);
    if (!isListMac(mac)) return mac;
    const key = remoteKey(entry, tunnel);
    const known = mac === ZERO_MAC ? flooded : listed;
    const place = mac === ZERO_MAC ? key : `${mac} ${key}`;
    if (key === undefined || place === undefined) return undefined;
    if (known.has(place)) {
      const list = mac === ZERO_MAC ? "the flood list" : mac;
      const expected = `each remote of ${list} once`;
      findings.push({ path: [...path, "fdb", index, "dst"], at: "value", expected });
    }
    known.add(place);
    return undefined;
  });
  const ips = (neighbors ?? []).map((entry) =>
    entry?.ip === undefined ? undefined : canonicalAddress(entry.ip),
  );
  // The group is a member of the flood list, and that list is one entry, as in the kernel.
  const floodCount = flooded.size + (tunnel.group === undefined ? 0 : 1);
  if (floodCount > 0) entries.add(ZERO_MAC);
  const most = tunnel.max_entries ?? defaultValues.maxEntries;
  if (entries.size > most) {
    const place = fdb === undefined ? "max_entries" : "fdb";
    const expected = `at most max_entries (${most}) entries, the flood list being one`;
    const got = `${entries.size} entries`;
    findings.push({ path: [...path, place], at: "value", expected, got });
  }
  if (floodCount > configLimits.remotes) {
    const place = fdb === undefined ? "remotes" : "fdb";
    const most = configLimits.remotes;
    const expected = `at most ${most} flood list entries in group, remote, remotes and fdb`;
    findings.push({ path: [...path, place], at: "value", expected, got: `${floodCount} entries` });
  }
  return [
    ...findings,
    ...checkRepeated(flood, [...path, "remotes"], "remote"),
    ...checkRepeated(macs, [...path, "fdb"], "MAC address", "mac"),
    ...checkRepeated(ips, [...path, "neighbors"], "address", "ip"),
  ];
}

/** Checks one VXLAN tunnel. */
export function checkVxlan(tunnel: VxlanDraft, path: Path): Finding[] {
  return [
    ...checkUnderlay(tunnel, path),
    ...checkGroup(tunnel, path),
    ...checkGbp(tunnel, path),
    ...checkAllow(tunnel, path),
    ...checkTables(tunnel, path),
  ];
}
