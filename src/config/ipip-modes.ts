// What the modes of IPIP tunnels carry: the one place where that stands.

import type { IpipMode } from "./effective.js";

/** IP versions inside. */
export const CARRIED_VERSIONS: Readonly<Record<IpipMode, readonly (4 | 6)[]>> = {
  ipip: [4],
  sit: [6],
  ipip6: [4],
  ip6ip6: [6],
  any: [4, 6],
};

/** Does a tunnel of this mode carry packets of an IP version? */
export function carries(mode: IpipMode, version: 4 | 6): boolean {
  return CARRIED_VERSIONS[mode].includes(version);
}
