// Remote checksum offload, receiving side (`remcsum_rx`): the sender left the inner TCP or UDP
// checksum to us, its field holds the sum of the pseudo header. Native code finishes such checksums
// or hands them to the device when it writes the frame (coalesce.cc), as it does for senders on
// this machine; here is only checked that the VXLAN header means that very field. Hot.

import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ip-protocol.js";
import { LOCATE_L4, LOCATE_PAYLOAD, LOCATE_PROTOCOL, locateFrame } from "../wire/locate.js";
import { vxlanChecksumIsUdp, vxlanChecksumStart } from "../wire/vxlan.js";

/**
 * Does the header at `at` point to the TCP or UDP checksum of the frame `frame`..`end`? The kernel
 * would write wherever it points (vxlan_remcsum); a wrong place damages the frame.
 * @param located scratch of LOCATE_COLUMNS
 */
export function remoteChecksumFits(
  bytes: Uint8Array,
  at: number,
  frame: number,
  end: number,
  located: Int32Array,
): boolean {
  if (locateFrame(bytes, frame, end, located) !== 0) return false;
  const protocol = vxlanChecksumIsUdp(bytes, at) ? PROTOCOL_UDP : PROTOCOL_TCP;
  // A fragment has no payload column: its checksum covers what is in other packets.
  return (
    located[LOCATE_PROTOCOL] === protocol &&
    located[LOCATE_PAYLOAD] >= 0 &&
    located[LOCATE_L4] - frame === vxlanChecksumStart(bytes, at)
  );
}
