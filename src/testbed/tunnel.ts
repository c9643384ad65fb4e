// What every way from pod to pod offers to demo, bench and tests, and the numbers all of them
// share.

import { describeError, TestbedError } from "./error.js";
import type { Namespace } from "./namespace.js";
import type { HostSide, TwoHosts } from "./two-hosts.js";

export const vni = 100;
export const vxlanPort = 4789;

/** Where traffic over a tunnel begins and ends. */
export interface Ends {
  readonly client: Namespace;
  readonly server: Namespace;
  /** Address of the server as the client reaches it. */
  readonly address: string;
}

export interface Tunnel {
  /** Why this machine cannot have it; undefined when it can. */
  unsupported(): string | undefined;
  readonly ends: Ends;
  /** Connects the ends. */
  up(): Promise<void>;
  /** Takes back all that `up` did; also after an `up` that failed. */
  down(): Promise<void>;
  /** Processes that carry packets while it is up: that of the left host, that of the right. */
  readonly pids: readonly number[];
  /** The longest any of its processes took from start to ready; undefined without processes. */
  readonly ready_ms: number | undefined;
  /** What the daemon on the left host says of itself; absent where there is none. */
  status?(): Promise<string>;
}

/** From pod to pod. */
export function podEnds({ left, right }: TwoHosts): Ends {
  return { client: left.pod, server: right.pod, address: right.podIp };
}

/** The two sides, each with its peer. */
export function bothWays(hosts: TwoHosts): readonly [HostSide, HostSide][] {
  return [
    [hosts.left, hosts.right],
    [hosts.right, hosts.left],
  ];
}

/**
 * Runs `body` while the tunnel is up; takes it down in any case. An error names what failed first,
 * then the rest.
 */
export async function withTunnel<T>(tunnel: Tunnel, body: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    await tunnel.up();
    result = await body();
  } catch (error) {
    try {
      await tunnel.down();
    } catch (second) {
      throw new TestbedError(`${describeError(error)}\n${describeError(second)}`);
    }
    throw error;
  }
  await tunnel.down();
  return result;
}
