// Which tunnels of an effective configuration have a device, and which are plain routes of the host.

import type { Config, DeviceTunnelConfig, RouteTunnelConfig } from "./effective.js";

/** The tunnels of a config that have a device, in its order. */
export function deviceTunnels({ tunnels }: Pick<Config, "tunnels">): DeviceTunnelConfig[] {
  return tunnels.filter((tunnel) => tunnel.type !== "route");
}

/** The tunnels of a config that are plain routes. */
export function routeTunnels({ tunnels }: Pick<Config, "tunnels">): RouteTunnelConfig[] {
  return tunnels.filter((tunnel) => tunnel.type === "route");
}
