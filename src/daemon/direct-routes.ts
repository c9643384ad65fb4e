// `direct: true`: routes of a tunnel's config whose peer is on the link of the underlay leave as
// they are, by a plain route in the place of the one over the tunnel's device; all others go
// through the tunnel. Decided at the start and whenever the underlay may have changed; a change
// puts the new route in the place of the old one at once. Setting plain routes is host-routes.ts.

import { canonicalMac, familyOf } from "../config/addresses.js";
import type { RouteConfig, VxlanTunnelConfig } from "../config/effective.js";
import type { DirectRouteStatus } from "../control/route-target.js";
import { hasCode } from "../netlink/errors.js";
import type { Logger } from "../telemetry/log.js";
import { deviceRoute } from "./device-route.js";
import { directHop } from "./direct-hop.js";
import { type HostRoute, type HostRoutes, isSame, type RouteMove } from "./host-routes.js";
import type { RouteKernel } from "./kernel-routes.js";
import type { TunnelRuntime } from "./tunnel.js";

/** The parts of a tunnel that a decision needs. */
export type DirectTunnel = Pick<TunnelRuntime, "config" | "index"> & {
  readonly device: { readonly ifindex: number };
};

/** Underlay address of the host that a route leads to, or in words why there is none to be direct. */
export type RoutePeer = { readonly peer: string } | { readonly why: string };

/** @param route of the tunnel's config */
export function peerOf({ config }: Pick<TunnelRuntime, "config">, route: RouteConfig): RoutePeer {
  if (config.type === "vxlan") return vxlanPeer(config, route);
  const peer = config.remote === "any" ? route.via : config.remote;
  if (peer === undefined) return { why: "it has no next hop" };
  if (familyOf(route.to) === 6 && familyOf(peer) === 4) {
    return { why: "an IPv6 route cannot have an IPv4 next hop" };
  }
  return { peer };
}

/** The next hop is an address of the overlay; `neighbors` has its MAC and `fdb` whose that is. */
function vxlanPeer({ neighbors, fdb }: VxlanTunnelConfig, { to, via }: RouteConfig): RoutePeer {
  if (via === undefined) return { why: "it has no next hop" };
  const mac = neighbors.find(({ ip }) => ip === via)?.mac;
  if (mac === undefined) return { why: `\`neighbors\` does not have its next hop ${via}` };
  const peer = fdb.find((entry) => canonicalMac(entry.mac) === canonicalMac(mac))?.dst;
  if (peer === undefined) return { why: `\`fdb\` does not have ${mac}, the MAC of ${via}` };
  if (familyOf(to) === 6 && familyOf(peer) === 4) {
    return { why: "an IPv6 route cannot have an IPv4 next hop" };
  }
  return { peer };
}

/** Underlay address of a peer, and the index of the tunnel. */
export interface DirectPeer {
  readonly tunnel: number;
  readonly address: string;
}

interface Candidate {
  readonly tunnel: DirectTunnel;
  readonly config: RouteConfig;
  readonly peer: string;
  /** As long as its peer is on the link. */
  direct: HostRoute | undefined;
}

/**
 * Name of the device that a tunnel runs over; undefined: any that leads to the peer. Throws
 * CULVERT_NO_ADDRESS when its local address is gone.
 */
export type UnderlayNames = (tunnel: DirectTunnel) => string | undefined;

export interface DirectParts {
  readonly kernel: RouteKernel;
  readonly routes: HostRoutes;
  /** Tells the names of the devices that tunnels run over; asked for once per round. */
  readonly underlays: () => UnderlayNames;
  readonly log: Logger;
}

export class DirectRoutes {
  readonly #parts: DirectParts;
  readonly #devices: ReadonlySet<number>;
  readonly #candidates: ReadonlyMap<RouteConfig, Candidate>;

  /** @param tunnels of this daemon, with `direct` or not */
  constructor(tunnels: readonly DirectTunnel[], parts: DirectParts) {
    this.#parts = parts;
    this.#devices = new Set(tunnels.map(({ device }) => device.ifindex));
    const candidates = tunnels
      .filter(({ config }) => config.direct)
      .flatMap((tunnel) => this.#candidatesOf(tunnel));
    this.#candidates = new Map(candidates.map((candidate) => [candidate.config, candidate]));
  }

  /** The plain routes to begin with; the others go over their tunnel's device. */
  decide(): HostRoute[] {
    const underlays = this.#parts.underlays();
    return [...this.#candidates.values()].flatMap((candidate) => {
      candidate.direct = this.#decideOn(candidate, underlays);
      return candidate.direct ?? [];
    });
  }

  /** Whether a route of a tunnel's config goes over its device. */
  isTunnelled(config: RouteConfig): boolean {
    return this.#candidates.get(config)?.direct === undefined;
  }

  /**
   * The peers of IPIP tunnels. One may tunnel what it sends to us while ours to it is direct: it is
   * known (`allow`) with or without a route over the device.
   */
  peers(): DirectPeer[] {
    const all = [...this.#candidates.values()];
    const overIpip = all.filter(({ tunnel }) => tunnel.config.type === "ipip");
    return overIpip.map(({ tunnel, peer }) => ({ tunnel: tunnel.index, address: peer }));
  }

  /**
   * Decides again, and moves routes whose decision has changed.
   * @returns false when one could not be moved
   */
  reconsider(): boolean {
    const underlays = this.#parts.underlays();
    const moves: { candidate: Candidate; now: HostRoute | undefined; move: RouteMove }[] = [];
    for (const candidate of this.#candidates.values()) {
      const now = this.#decideOn(candidate, underlays);
      const move = moveOf(candidate, now);
      if (move === undefined) continue;
      this.#tell(candidate, now);
      moves.push({ candidate, now, move });
    }
    const failed = this.#parts.routes.move(moves.map(({ move }) => move));
    for (const { candidate, now, move } of moves) {
      if (!failed.has(move.route)) candidate.direct = now;
    }
    return failed.size === 0;
  }

  /** The direct routes of a tunnel as they are now. */
  report(name: string): DirectRouteStatus[] {
    const all = [...this.#candidates.values()];
    const own = all.filter(({ tunnel }) => tunnel.config.name === name);
    const routes = own.flatMap(({ direct }) => direct ?? []);
    const present = this.#parts.routes.presentOf(routes);
    return routes.map((route) => ({
      ...{ to: route.to, via: route.via, dev: route.dev, metric: route.metric },
      state: present.has(route) ? "ok" : "missing",
    }));
  }

  #candidatesOf(tunnel: DirectTunnel): Candidate[] {
    return tunnel.config.routes.flatMap((config) => {
      const found = peerOf(tunnel, config);
      if ("peer" in found) return [{ tunnel, config, peer: found.peer, direct: undefined }];
      const fields = { tunnel: tunnel.config.name, to: config.to, why: found.why };
      this.#parts.log.info(fields, "the route stays in the tunnel");
      return [];
    });
  }

  #decideOn(
    { tunnel, config: { to, metric }, peer }: Candidate,
    underlays: UnderlayNames,
  ): HostRoute | undefined {
    try {
      const query = { via: peer, dev: underlays(tunnel), tunnels: this.#devices };
      const hop = directHop(this.#parts.kernel, query);
      if ("why" in hop) return undefined;
      return { tunnel: tunnel.config.name, ...{ to, metric }, via: peer, ...hop };
    } catch (error) {
      if (hasCode(error, "CULVERT_NO_ADDRESS")) return undefined;
      throw error;
    }
  }

  #tell({ tunnel, config: { to }, peer, direct }: Candidate, now: HostRoute | undefined): void {
    const fields = { tunnel: tunnel.config.name, to, via: peer };
    if (now === undefined) {
      this.#parts.log.info(
        fields,
        "the peer is not on the link any more: the tunnel carries the route",
      );
    } else if (direct === undefined) {
      this.#parts.log.info(fields, "the peer is on the link now: the route leaves the tunnel");
    }
  }
}

/** Undefined: nothing has changed. */
function moveOf(candidate: Candidate, now: HostRoute | undefined): RouteMove | undefined {
  const { tunnel, config, direct: before } = candidate;
  const device = tunnel.device.ifindex;
  if (now !== undefined) {
    if (before !== undefined && isSame(before, now)) return undefined;
    return { kind: "set", route: now, ...(before === undefined ? { device } : {}) };
  }
  if (before === undefined) return undefined;
  return { kind: "remove", route: before, tunnelled: deviceRoute(device, config) };
}
