// The VTEP under test behind one interface: the kernel's vxlan device (kernel-vtep.ts), or a
// culvert daemon in its place (culvert-vtep.ts). Only what both are told stands here; what is
// expected of them stands in the test files.

import type { Namespace } from "../../src/testbed/namespace.js";
import type { Child } from "../../src/testbed/process.js";

export const device = "vxlan100";
export const ownMac = "02:00:00:00:01:00";
/** What the lab's markers are sent to (egress) and come from (ingress). */
export const markerMac = "02:00:00:00:99:01";
export const markerSourceMac = "02:00:00:00:99:02";

export interface FdbSpec {
  mac: string;
  dst: string;
  port?: number;
  vni?: number;
  router?: boolean;
  /** Group of frames to this remote; culvert only. */
  gbp?: number;
}

export interface NeighSpec {
  ip: string;
  mac: string;
  router?: boolean;
}

/** Options of the VTEP in the words of ip-link(8); what is absent has its default. */
export interface VtepOptions {
  family?: 4 | 6;
  vni?: number;
  group?: string;
  /** false: no underlay device is named. */
  dev?: false;
  /** The device's MTU; else each subject's own choice. */
  mtu?: number;
  srcport?: readonly [number, number];
  ttl?: number | "inherit";
  tos?: number | "inherit";
  df?: "unset" | "set" | "inherit";
  flowlabel?: number;
  learning?: boolean;
  ageing_s?: number;
  maxaddress?: number;
  proxy?: boolean;
  rsc?: boolean;
  l2miss?: boolean;
  l3miss?: boolean;
  udpcsum?: boolean;
  udp6zerocsumtx?: boolean;
  udp6zerocsumrx?: boolean;
  remcsumtx?: boolean;
  remcsumrx?: boolean;
  /** Group of the VTEP's own frames; the kernel takes it from the mark of a packet. */
  gbp?: number;
  /** Members of the all-zero MAC. */
  floods?: readonly string[];
  fdb?: readonly FdbSpec[];
  neighbors?: readonly NeighSpec[];
  /** IPv6 on the VTEP's device: without it the kernel answers no neighbour solicitation. */
  ipv6?: boolean;
  /** Further lines of the tunnel in culvert's config; `allow: any` unless given here. */
  culvert?: readonly string[];
  /** Further arguments of `vx` for the lab's ingress markers. */
  marker?: string;
  /** false: no FDB entry for egress markers, so that the FDB is as the options say. */
  markers?: false;
}

/** What came of a change, whoever was asked. */
export type Outcome = "done" | "exists" | "not found" | "full" | "refused";

export interface FdbEntryJson {
  mac: string;
  ifname?: string;
  dst?: string;
  port?: number;
  vni?: number;
  flags?: string[];
  state?: string;
}

export interface Vtep {
  readonly name: "kernel" | "culvert";
  start(options: VtepOptions): Promise<void>;
  stop(): Promise<void>;
  /** `bridge fdb ...` with `dev vxlan100` after the first two words (operation and MAC). */
  fdb(words: string): Promise<Outcome>;
  /** Lines of `bridge fdb show dev vxlan100`, sorted, without the lab's own entries. */
  fdbLines(): Promise<string[]>;
  /** The same as `bridge -j` tells it. */
  fdbJson(): Promise<FdbEntryJson[]>;
  /** `bridge fdb flush dev vxlan100 ...`. */
  fdbFlush(words: string): Promise<Outcome>;
  /** `ip neigh OPERATION IP ... dev vxlan100`. */
  neigh(words: string): Promise<Outcome>;
  neighLines(): Promise<string[]>;
  /** Frames that egress dropped so far. */
  txDropped(): Promise<number>;
  mtu(): number;
  /** What shows misses: `ip monitor neigh`, `culvert monitor`. */
  missMonitor(): Child;
}

export const isLab = (text: string): boolean => text.includes("02:00:00:00:99:");
export const lines = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !isLab(line))
    .sort();

/** Places `dev vxlan100` after operation and address, where both programs take it. */
export function withDevice(words: string): string[] {
  const [operation, address, ...rest] = words.split(" ");
  return [operation!, address!, "dev", device, ...rest];
}

export function mtuOf(host: Namespace): number {
  const [link] = JSON.parse(host.ip("-j", "link", "show", device)) as [{ mtu: number }];
  return link.mtu;
}

/** For the device that is made next: IPv6 without any packet of its own, or none at all. */
export function switchIpv6(host: Namespace, on: boolean): void {
  host.sysctl("net.ipv6.conf.default.addr_gen_mode", 1);
  host.sysctl("net.ipv6.conf.default.accept_ra", 0);
  host.sysctl("net.ipv6.conf.default.disable_ipv6", on ? 0 : 1);
}

/** Underlay address of the VTEP under test. */
export const localOf = (family: 4 | 6): string => (family === 6 ? "fd57::20" : "10.57.4.20");
export const markerRemote = (family: 4 | 6): string => (family === 6 ? "fd57::29" : "10.57.4.29");
