// Group-based policy [draft-smith-vxlan-group-policy-05]: which group our frames carry, and from
// which groups frames are taken. The kernel maps groups to skb marks and leaves policy to its
// firewall; a TAP shows no mark, so the list of allowed groups stands here. Hot: no allocation.

import { REMOTE_GBP, REMOTE_WORDS } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { vxlanGroup, vxlanPolicyApplied } from "../wire/vxlan.js";
import type { VxlanSettings } from "./vxlan-tunnel.js";

/** `gbpId`: the tunnel knows no groups; their bits are reserved. */
export const GBP_OFF = -1;

/** The group of frames to a remote: its own, else the tunnel's; 0 when the tunnel knows none. */
export function groupOf(tunnel: VxlanSettings, remotes: RemoteTable, remote: number): number {
  if (tunnel.gbpId === GBP_OFF) return 0;
  const own = remotes.rows[remote * REMOTE_WORDS + REMOTE_GBP];
  return own < 0 ? tunnel.gbpId : own;
}

/**
 * May a frame with the VXLAN header at `at` enter? A frame without a group belongs to group 0, the
 * default group. A frame whose A bit is set has passed a policy already, and none must be applied
 * to it again (§ 2.1): it enters whatever its group. That trusts the sender no more than its group
 * id does; who may send at all is `allow`.
 */
export function gbpAdmits(tunnel: VxlanSettings, bytes: Uint8Array, at: number): boolean {
  const allow = tunnel.gbpAllow;
  if (tunnel.gbpId === GBP_OFF || allow === undefined || vxlanPolicyApplied(bytes, at)) return true;
  return allow.includes(vxlanGroup(bytes, at));
}
