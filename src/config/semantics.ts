// Rules that span several keys: which combinations of valid values make no tunnel, or not the one
// that was meant. Reads a draft, so that it still finds its own problems when the schema has found
// others; a key that is there but undefined was wrong and is not complained about again. One
// function per rule or family of rules.

import { canonicalAddress } from "./addresses.js";
import { defaultValues } from "./default-values.js";
import type { Finding } from "./problems.js";
import type {
  ConfigDocument,
  DeviceTunnelDocument,
  IpipTunnelDocument,
  RouteTunnelDocument,
  TunnelDocument,
  VxlanTunnelDocument,
} from "./schema.js";
import { checkDevice } from "./semantics-device.js";
import { checkIpip, ipipKeys } from "./semantics-ipip.js";
import { checkHostRoutes, checkRouteTunnel } from "./semantics-route.js";
import { checkVxlan } from "./semantics-vxlan.js";
import type { Draft } from "./validate.js";

type TunnelDraft = Draft<TunnelDocument>;
type VxlanDraft = Draft<VxlanTunnelDocument>;
type IpipDraft = Draft<IpipTunnelDocument>;
type RouteTunnelDraft = Draft<RouteTunnelDocument>;

function isVxlan(tunnel: TunnelDraft): tunnel is VxlanDraft {
  return tunnel.type === "vxlan";
}

function isIpip(tunnel: TunnelDraft): tunnel is IpipDraft {
  return tunnel.type === "ipip";
}

function isRoute(tunnel: TunnelDraft): tunnel is RouteTunnelDraft {
  return tunnel.type === "route";
}

/** What must be unlike in all tunnels. */
interface Identity {
  /** Each of which no other tunnel may have; none when they cannot be told. */
  keys: readonly string[];
  /** The key of the tunnel that the finding points at. */
  at: string;
  expected: string;
}

function nameIdentity({ name }: TunnelDraft): Identity {
  const keys = name === undefined ? [] : [name];
  return { keys, at: "name", expected: "a name that no other tunnel has" };
}

/**
 * What a VXLAN socket demultiplexes by. Without `local`, `dev` decides which address it will be.
 */
function vxlanIdentity({ vni, port, local, dev }: VxlanDraft): Identity {
  const source = local === undefined ? dev : canonicalAddress(local);
  const key = [vni, port ?? defaultValues.vxlanPort, source];
  return {
    keys: vni === undefined || source === undefined ? [] : [JSON.stringify(key)],
    at: "vni",
    expected: "a VNI that no other tunnel with the same port and local address has",
  };
}

/** Tunnels on one port share its socket, which takes zero UDP checksums or does not. */
function checkSharedSockets(tunnels: readonly [VxlanDraft, number][]): Finding[] {
  const first = new Map<string, [boolean, number]>();
  const findings: Finding[] = [];
  for (const [tunnel, index] of tunnels) {
    const { port, local, dev } = tunnel;
    const source = local === undefined ? dev : canonicalAddress(local);
    if (source === undefined) continue;
    const key = JSON.stringify([port ?? defaultValues.vxlanPort, source]);
    const zero = tunnel.udp6_zero_csum_rx ?? defaultValues.udp6ZeroChecksum;
    const [wanted, other] = first.get(key) ?? [zero, index];
    first.set(key, [wanted, other]);
    if (zero === wanted) continue;
    const expected = `${wanted}, as in tunnels[${other}] with the same port and local address`;
    const step = Object.hasOwn(tunnel, "udp6_zero_csum_rx") ? ["udp6_zero_csum_rx"] : [];
    findings.push({ path: ["tunnels", index, ...step], at: "value", expected });
  }
  return findings;
}

/**
 * A socket that is bound to a device and one that is not cannot have the same address and port.
 */
function checkBoundSockets(tunnels: readonly [VxlanDraft, number][]): Finding[] {
  const first = new Map<string, [boolean, number]>();
  const findings: Finding[] = [];
  for (const [tunnel, index] of tunnels) {
    if (tunnel.local === undefined) continue;
    const key = JSON.stringify([
      tunnel.port ?? defaultValues.vxlanPort,
      canonicalAddress(tunnel.local),
    ]);
    const bound = Object.hasOwn(tunnel, "dev");
    const [wanted, other] = first.get(key) ?? [bound, index];
    first.set(key, [wanted, other]);
    if (bound === wanted) continue;
    const words = wanted ? "a `dev`" : "no `dev`";
    const expected = `${words}, as in tunnels[${other}] with the same port and local address`;
    const step = bound ? ["dev"] : ["local"];
    findings.push({ path: ["tunnels", index, ...step], at: "value", expected });
  }
  return findings;
}

function ipipIdentity(tunnel: IpipDraft): Identity {
  return {
    keys: ipipKeys(tunnel),
    at: tunnel.remote === undefined ? "name" : "remote",
    expected: "a pair of local and remote that no other ipip tunnel of the same mode has",
  };
}

/** Reports each tunnel whose identity an earlier one has. */
function checkUnique<T>(
  tunnels: readonly [T, number][],
  identify: (tunnel: T) => Identity,
): Finding[] {
  const first = new Map<string, number>();
  const findings: Finding[] = [];
  for (const [tunnel, index] of tunnels) {
    const { keys, at, expected } = identify(tunnel);
    const earlier = keys.map((key) => first.get(key)).find((other) => other !== undefined);
    for (const key of keys) if (!first.has(key)) first.set(key, index);
    if (earlier === undefined) continue;
    const words = `${expected} (tunnels[${earlier}] has it)`;
    findings.push({ path: ["tunnels", index, at], at: "value", expected: words });
  }
  return findings;
}

/** All cross-checks over what is left of the document after the schema's findings. */
export function checkSemantics(draft: Draft<ConfigDocument>): Finding[] {
  const tunnels: [TunnelDraft, number][] = [];
  (draft.tunnels ?? []).forEach((tunnel, index) => {
    if (tunnel !== undefined) tunnels.push([tunnel, index]);
  });
  const vxlan: [VxlanDraft, number][] = [];
  const ipip: [IpipDraft, number][] = [];
  const routes: [RouteTunnelDraft, number][] = [];
  const findings: Finding[] = [];
  for (const [tunnel, index] of tunnels) {
    const path = ["tunnels", index];
    if (isRoute(tunnel)) {
      routes.push([tunnel, index]);
      findings.push(...checkRouteTunnel(tunnel, path));
      continue;
    }
    findings.push(...checkDevice(tunnel as Draft<DeviceTunnelDocument>, path));
    if (isVxlan(tunnel)) {
      vxlan.push([tunnel, index]);
      findings.push(...checkVxlan(tunnel, path));
    } else if (isIpip(tunnel)) {
      ipip.push([tunnel, index]);
      findings.push(...checkIpip(tunnel, path));
    }
  }
  return [
    ...findings,
    ...checkUnique(tunnels, nameIdentity),
    ...checkUnique(vxlan, vxlanIdentity),
    ...checkSharedSockets(vxlan),
    ...checkBoundSockets(vxlan),
    ...checkUnique(ipip, ipipIdentity),
    ...checkHostRoutes(routes),
  ];
}
