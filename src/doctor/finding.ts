// What a check finds, and what it is given to look at. A check is a function of its Situation: it
// reads the host through `Host` alone, so that tests hand it one made of plain data; it changes
// nothing.

import type { IpipMode } from "../config/effective.js";
import type { Notice } from "../control/target.js";
import type { LinkAddress } from "../netlink/addresses.js";
import type { Link } from "../netlink/links.js";
import type { RouteDecision } from "../netlink/routes.js";
import type { TunnelModules } from "./kernel-tunnels.js";

/**
 * problem: packets are lost or doubled, or a daemon cannot start; warning: so it is under
 * conditions that cannot be seen from here; ok: nothing is wrong, but it should be known.
 */
export type Level = "problem" | "warning" | "ok";

/** What was found, with its consequence and cure. */
export interface Finding extends Notice {
  /** Name of the check: stable, as in docs/doctor.md. */
  readonly check: string;
  readonly level: Level;
  /** The device that it is about. */
  readonly dev?: string;
}

/** An outer destination of a tunnel. */
export interface DoctorRemote {
  readonly address: string;
  /** Largest outer packet that reaches it whole, as the daemon knows it; undefined: not known. */
  readonly pmtu_bytes?: number;
}

/** One tunnel, as a running daemon or a configuration tells it. */
export interface DoctorTunnel {
  readonly name: string;
  readonly type: "vxlan" | "ipip";
  /** Of ipip. */
  readonly mode?: IpipMode;
  /** Outer source address; undefined: any, or not known. */
  readonly local: string | undefined;
  /** Family of outer packets. */
  readonly family: 4 | 6;
  /** Underlay device that its sockets are bound to. */
  readonly dev: string | undefined;
  /** Outer destination of a point-to-point tunnel. */
  readonly remote?: string | undefined;
  readonly remotes: readonly DoctorRemote[];
  /** Of the device; undefined: the daemon will choose it. */
  readonly mtu_bytes: number | undefined;
}

/** Why something of the host cannot be used: the name of an errno; undefined: it can. */
export type Obstacle = string | undefined;

/** What checks may read of this host: each value as it was when it was first asked for. */
export interface Host {
  links(): readonly Link[];
  addresses(): readonly LinkAddress[];
  /** `net/ipv4/ip_forward` below /proc/sys; undefined: there is none. */
  sysctl(path: string): number | undefined;
  modules(): TunnelModules;
  /** Is an offload (name as in `ethtool -k`) on? undefined: the device or kernel has none such. */
  feature(dev: string, feature: string): boolean | undefined;
  /**
   * The kernel's way to an address, by the device of that index where one is given; undefined: it
   * has none.
   */
  routeTo(address: string, ifindex?: number): RouteDecision | undefined;
  /** Opens a file of /dev for reading and writing, and closes it. */
  openable(path: string): Obstacle;
  /** Effective capabilities of this process, as the bits of capabilities(7). */
  capabilities(): bigint;
}

/** All that a check looks at. */
export interface Situation {
  readonly host: Host;
  readonly tunnels: readonly DoctorTunnel[];
  /** Process of the daemon that told the tunnels; undefined: none did. */
  readonly daemonPid: number | undefined;
}

/** One trap. */
export interface Check {
  /** Stable; a row of docs/doctor.md. */
  readonly name: string;
  readonly run: (situation: Situation) => Finding[];
}

/** A check's finding without the check's name, which `check` adds. */
export type Found = Omit<Finding, "check">;

/** A check under its name. */
export function check(name: string, run: (situation: Situation) => readonly Found[]): Check {
  return {
    name,
    run: (situation) => run(situation).map((found) => ({ check: name, ...found })),
  };
}
