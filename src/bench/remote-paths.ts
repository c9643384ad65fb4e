// The ways between this host and a listener's: the underlay, the tunnels that both run, and ways
// given by hand. Which they are, whether traffic really takes them, and how each is measured.

import { isIP, isIPv6 } from "node:net";
import { TestbedError } from "../testbed/error.js";
import { runSync } from "../testbed/process.js";
import type { WatchedDaemons } from "./daemon-meter.js";
import { type MeterResult, meterHosts } from "./meters.js";
import type { Path, PathVariant } from "./path.js";
import type { ListenerConnection } from "./remote-connection.js";
import type { OfferedTunnel } from "./remote-protocol.js";
import type { ReportVariant } from "./report-model.js";
import type { Place, WorkloadServer } from "./workload.js";
import type { LatencyTool } from "./workloads/all-workloads.js";

/** What the ratios are relative to. */
export const REMOTE_REFERENCE = "underlay";

/** A way that can be measured, or the reason why not. */
export interface Way extends ReportVariant {
  /** Of the listener's host over it. */
  readonly address?: string;
  /** The daemons of both hosts carry it. */
  readonly tunnel?: true;
}

export interface Via {
  readonly name: string;
  readonly address: string;
}

export interface WaysOptions {
  /** Of the listener, on the underlay. */
  readonly underlay: string;
  /** Running on this host. */
  readonly ours: readonly OfferedTunnel[];
  /** Running on the listener's host. */
  readonly theirs: readonly OfferedTunnel[];
  readonly via: readonly Via[];
  /** Name of the device that packets to `address` leave by. */
  readonly deviceTowards: (address: string) => string;
}

/**
 * All ways, the reference first; our tunnels that cannot be measured say why. Throws TestbedError
 * when there is nothing to compare.
 */
export function findWays({ underlay, ours, theirs, via, deviceTowards }: WaysOptions): Way[] {
  const tunnelled = ours.find(({ name }) => name === deviceTowards(underlay));
  if (tunnelled !== undefined) {
    throw new TestbedError(
      `${underlay} is reached through ${tunnelled.name}, so it cannot be the underlay to compare with`,
      "give --remote the other host's address on the underlay",
    );
  }
  const left = [...theirs];
  const tunnels = ours.map((own): Way => {
    const title = `${own.name} (culvert ${own.type})`;
    const peer = takeMatching(left, own);
    return { name: own.name, title, tunnel: true, ...reachThrough(own, peer, deviceTowards) };
  });
  for (const { name, address } of via) {
    if (isIP(address) === 0) throw new TestbedError(`--via ${name}: ${address} is no IP address`);
  }
  const ways: Way[] = [
    { name: REMOTE_REFERENCE, title: REMOTE_REFERENCE, address: underlay },
    ...tunnels,
    ...via.map(({ name, address }) => ({ name, title: name, address })),
  ];
  const twice = ways.find(({ name }, index) => ways.findIndex((way) => way.name === name) < index);
  if (twice !== undefined) {
    throw new TestbedError(`two ways are called ${twice.name}`, "name the one of --via otherwise");
  }
  return ways;
}

/** Takes the tunnel out of `theirs` that is the other end of `own`; the better match first. */
function takeMatching(theirs: OfferedTunnel[], own: OfferedTunnel): OfferedTunnel | undefined {
  const same = theirs.filter(({ type, vni }) => type === own.type && vni === own.vni);
  const found =
    same.find(({ name, port }) => name === own.name && port === own.port) ??
    same.find(({ port }) => port === own.port) ??
    same[0];
  if (found !== undefined) theirs.splice(theirs.indexOf(found), 1);
  return found;
}

function reachThrough(
  own: OfferedTunnel,
  peer: OfferedTunnel | undefined,
  deviceTowards: (address: string) => string,
): Pick<Way, "address" | "missing"> {
  if (peer === undefined) {
    const what = own.vni === undefined ? own.type : `${own.type} with VNI ${own.vni}`;
    return { missing: `the other host runs no ${what}` };
  }
  if (peer.addresses.length === 0)
    return { missing: `the other end (${peer.name}) has no address` };
  // Without a route of its own through the tunnel, traffic would take another way unnoticed.
  const address = peer.addresses.find((one) => deviceTowards(one) === own.name);
  if (address !== undefined) return { address };
  return { missing: `${peer.addresses.join(", ")} is not routed through ${own.name}` };
}

/** Device that the kernel of this host sends packets to `address` by; empty without a route. */
export function deviceTowards(address: string): string {
  try {
    const [route] = JSON.parse(runSync(["ip", "-j", "route", "get", address])) as [
      { dev?: string } | undefined,
    ];
    return route?.dev ?? "";
  } catch (error) {
    if (error instanceof TestbedError) return "";
    throw error;
  }
}

/** sockperf as Debian has it takes no IPv6 address. */
export function agreedLatencyTool(
  tools: readonly LatencyTool[],
  ways: readonly Way[],
): LatencyTool {
  const four = ways.every(({ address }) => address === undefined || !isIPv6(address));
  return four && tools.every((tool) => tool === "sockperf") ? "sockperf" : "culvert";
}

export interface RemotePathsOptions {
  readonly connection: ListenerConnection;
  /** Where the client halves run. */
  readonly client: Place;
  readonly latency: LatencyTool;
  /** The daemon of this host; absent without one. */
  readonly daemon?: WatchedDaemons;
}

/**
 * A way as the rounds take it: it is up already, and stays so. How many bytes the wire carries is
 * not metered: a NIC's counters count segmentation offload in ways of their own.
 */
export function remoteVariant(
  way: Way & { address: string },
  options: RemotePathsOptions,
): PathVariant {
  const { connection, client, latency } = options;
  const daemon = way.tunnel ? options.daemon : undefined;
  const serve = async (workload: string, seconds: number): Promise<WorkloadServer> => {
    const { port } = await connection.request({ type: "serve", workload, seconds, latency });
    const stop = async (): Promise<void> => {
      await connection.request({ type: "stop" });
    };
    return { port, stop };
  };
  const path: Path = {
    ...{ client, address: way.address, serve },
    startMeters: () => meterBothHosts(connection, daemon),
    ...(daemon && { daemons: daemon }),
  };
  return { name: way.name, title: way.title, withPath: (body) => body(path) };
}

async function meterBothHosts(
  connection: ListenerConnection,
  daemon: WatchedDaemons | undefined,
): Promise<() => Promise<MeterResult>> {
  await connection.request({ type: "meter" });
  const stop = meterHosts(daemon ? { daemons: { client: daemon.pids, server: [] } } : {});
  return async () => {
    const here = stop();
    const there = await connection.request({ type: "used" });
    const client = here.daemonCpu_s?.client;
    const server = there.daemonCpu_s;
    return {
      machineCpu_s: here.machineCpu_s + there.machineCpu_s,
      ...(client !== undefined && server !== undefined && { daemonCpu_s: { client, server } }),
    };
  };
}
