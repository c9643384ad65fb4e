// The tunnels that checks look at, as a running daemon reports them or as a configuration has them.

import { isIP } from "node:net";
import {
  type DeviceTunnelConfig,
  type IpipTunnelConfig,
  ipipFamily,
  type VxlanTunnelConfig,
} from "../config/effective.js";
import type { StatusReport, TunnelStatus } from "../control/target.js";
import { CulvertError } from "../errors.js";
import type { IpFamily } from "../netlink/address-text.js";
import type { Underlay, UnderlayQuery } from "../netlink/underlay.js";
import type { DoctorRemote, DoctorTunnel, Finding } from "./finding.js";

const UNSPECIFIED: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

const familyOf = (address: string): IpFamily => (isIP(address) === 6 ? 6 : 4);

/** The tunnels of a running daemon. */
export function tunnelsOfStatus({ tunnels }: StatusReport): DoctorTunnel[] {
  return tunnels.map((tunnel) => ({
    name: tunnel.name,
    type: tunnel.type,
    ...(tunnel.mode === undefined ? {} : { mode: tunnel.mode }),
    local: UNSPECIFIED.has(tunnel.local) ? undefined : tunnel.local,
    family: familyOf(tunnel.local),
    dev: tunnel.dev,
    remote: tunnel.remote,
    remotes: remotesOfStatus(tunnel),
    mtu_bytes: tunnel.mtu_bytes,
  }));
}

/** Next hops that are not used because they lead into the tunnel are among its remotes. */
function remotesOfStatus({ remotes, route_problems, local }: TunnelStatus): DoctorRemote[] {
  const known = remotes.map(({ address, pmtu_bytes }) => ({ address, pmtu_bytes }));
  const addresses = new Set(known.map(({ address }) => address));
  const recursive = (route_problems?.recursive ?? []).filter(
    (address) => familyOf(address) === familyOf(local) && !addresses.has(address),
  );
  return [...known, ...recursive.map((address) => ({ address }))];
}

/** Where a tunnel would run; throws CulvertError where it cannot. */
export type FindUnderlay = (query: UnderlayQuery) => Pick<Underlay, "local">;

/** Tunnels of a configuration, and what is wrong with their places on the underlay. */
export interface ConfiguredTunnels {
  readonly tunnels: readonly DoctorTunnel[];
  readonly findings: readonly Finding[];
}

export function tunnelsOfConfig(
  configs: readonly DeviceTunnelConfig[],
  find: FindUnderlay,
): ConfiguredTunnels {
  const tunnels: DoctorTunnel[] = [];
  const findings: Finding[] = [];
  for (const config of configs) {
    const tunnel = config.type === "vxlan" ? ofVxlan(config) : ofIpip(config);
    const placed = placeOf(tunnel, find);
    if (placed instanceof CulvertError) findings.push(underlayFinding(config.name, placed));
    tunnels.push(placed instanceof CulvertError ? tunnel : { ...tunnel, local: placed });
  }
  return { tunnels, findings };
}

/** The outer source address as the daemon would find it. */
function placeOf(tunnel: DoctorTunnel, find: FindUnderlay): string | undefined | CulvertError {
  const { local, dev, family, remote } = tunnel;
  if (local === undefined && dev === undefined) return undefined;
  try {
    return find({ local, dev, family, towards: remote }).local;
  } catch (error) {
    if (error instanceof CulvertError) return error;
    throw error;
  }
}

/** Check `underlay`. */
function underlayFinding(name: string, { message, hint }: CulvertError): Finding {
  return {
    ...{ check: "underlay", level: "problem", what: `${name}: ${message}` },
    consequence: "a daemon with this configuration does not start",
    cure: hint ?? "see `ip address`",
    dev: name,
  };
}

const mtuOf = ({ mtu }: DeviceTunnelConfig): number | undefined =>
  mtu === "auto" ? undefined : mtu;

const distinct = (addresses: readonly string[]): DoctorRemote[] =>
  Array.from(new Set(addresses), (address) => ({ address }));

function ofVxlan(config: VxlanTunnelConfig): DoctorTunnel {
  const { name, type, local, dev, group } = config;
  const remotes = [...config.remotes, ...config.fdb].map(({ dst }) => dst);
  const outer = local ?? remotes[0] ?? group;
  return {
    ...{ name, type, local, dev },
    family: outer === undefined ? 4 : familyOf(outer),
    remotes: distinct(remotes),
    mtu_bytes: mtuOf(config),
  };
}

function ofIpip(config: IpipTunnelConfig): DoctorTunnel {
  const { name, type, mode, dev } = config;
  const family = ipipFamily(config);
  const remote = config.remote === "any" ? undefined : config.remote;
  const hops = config.routes.flatMap(({ via }) => via ?? []);
  const outer = hops.filter((via) => familyOf(via) === family);
  return {
    ...{ name, type, mode, family, dev, remote },
    local: config.local === "any" ? undefined : config.local,
    remotes: distinct(remote === undefined ? outer : [remote]),
    mtu_bytes: mtuOf(config),
  };
}
