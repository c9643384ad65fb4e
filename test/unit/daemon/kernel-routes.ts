// Routes as rtnetlink tells them, made from text, for tests without a kernel.

import type { RouteHop, RouteMessage } from "../../../src/netlink/route-messages.js";
import { parseIp, parsePrefix } from "../../../src/wire/ip-address.js";

export interface TestHop {
  readonly via?: string | undefined;
  readonly ifindex: number;
  readonly weight?: number;
  readonly dead?: boolean;
}

export type TestRoute = Partial<Omit<RouteMessage, "hops">> & {
  readonly to: string;
  readonly hops: readonly TestHop[];
};

const wordsOf = (text: string): [number, number, number, number] => {
  const { w0, w1, w2, w3 } = parseIp(text)!;
  return [w0, w1, w2, w3];
};

function hopOf({ via, ifindex, weight = 1, dead = false }: TestHop): RouteHop {
  const gateway = via === undefined ? undefined : wordsOf(via);
  return { ifindex, gateway, weight, dead, onlink: via !== undefined };
}

/** What `ip route add` without further words makes, but static. */
export function kernelRoute({ to, hops, ...said }: TestRoute): RouteMessage {
  const { family, length, ip } = parsePrefix(to)!;
  return {
    ...{ family, destination: [ip.w0, ip.w1, ip.w2, ip.w3], prefixLength: length, tos: 0 },
    ...{ table: 254, protocol: 4, metric: 0, scope: 0, source: undefined, nexthopObject: false },
    ...said,
    hops: hops.map(hopOf),
  };
}
