// Is an address on a link of this host, so that packets can go there as they are? The kernel's
// route lookup decides. No state.

import type { RouteKernel } from "./kernel-routes.js";

/** The device, or in words why not. */
export type DirectHop =
  | { readonly ifindex: number; readonly dev: string }
  | { readonly why: string };

export interface DirectHopQuery {
  readonly via: string;
  /** The device by which it must be reached; without it any but a tunnel. */
  readonly dev?: string | undefined;
  /** Indexes of our own tunnels' devices. */
  readonly tunnels: ReadonlySet<number>;
}

export function directHop(kernel: RouteKernel, { via, dev, tunnels }: DirectHopQuery): DirectHop {
  const way = kernel.way(via);
  if (way === undefined) return { why: "the kernel has no route to it" };
  if (way.own) return { why: "it is an address of this host" };
  if (tunnels.has(way.ifindex)) return { why: `it is reached through the tunnel ${way.dev}` };
  // A plain route whose prefix covers its own next hop is no gateway in between.
  if (way.gateway !== undefined && way.gateway !== via) {
    return { why: `it is behind the gateway ${way.gateway}` };
  }
  if (dev !== undefined && way.dev !== dev)
    return { why: `it is reached by ${way.dev}, not ${dev}` };
  return { ifindex: way.ifindex, dev: way.dev };
}
