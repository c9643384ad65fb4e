// The MAC address of a VXLAN device when the configuration says `mac: auto`. A VTEP whose MAC
// changes leaves stale neighbour and FDB entries on every peer, so it must be the same after each
// restart and reboot.

import { createHash } from "node:crypto";
import { canonicalAddress } from "./addresses.js";

export interface MacIdentity {
  /** Content of /etc/machine-id. */
  machineId: string;
  /** Device name. */
  name: string;
  vni: number;
  /** Outer source address. Tells hosts apart that were cloned with their machine-id. */
  local: string;
}

/**
 * A locally administered unicast MAC (IEEE 802 section 8.4), such as `02:5e:10:00:00:01`, that
 * depends on nothing but its arguments. The hash is one-way: the machine-id, which machine-id(5)
 * asks to keep confidential, cannot be read from it.
 */
export function stableMac({ machineId, name, vni, local }: MacIdentity): string {
  // JSON keeps the parts apart whatever they contain.
  const identity = JSON.stringify([
    "culvert mac",
    machineId.trim(),
    name,
    vni,
    canonicalAddress(local),
  ]);
  const bytes = createHash("sha256").update(identity).digest().subarray(0, 6);
  bytes[0] = (bytes[0] & 0xfc) | 0x02;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}
