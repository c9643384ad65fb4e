// The VXLAN header of what a tunnel sends: VNI and policy group of the remote that a frame goes to,
// and the options that go with the frame. The one place that composes it; what lies where stands in
// wire/vxlan.ts. Most remotes of a tunnel share one header; who has another is told apart here.

import {
  FRAME_CSUM_OFFSET,
  FRAME_CSUM_START,
  FRAME_FLAGS,
  FRAME_GSO_TYPE,
  FRAME_L4,
  FRAME_NEEDS_CHECKSUM,
  FRAME_WORDS,
  GSO_NONE,
} from "#abi";
import type { RemoteTable } from "../remotes/remote-table.js";
import {
  RCO_MAX_START,
  RCO_UDP,
  writeVxlan,
  writeVxlanGroup,
  writeVxlanRco,
} from "../wire/vxlan.js";
import { groupOf } from "./gbp.js";
import type { VxlanSettings } from "./vxlan-tunnel.js";

/** Where the checksum stands in a TCP and in a UDP header. */
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;

/** `remoteChecksum`: the checksum is finished here, or there is none. */
export const NO_REMOTE_CHECKSUM = -1;

/**
 * The last byte of the header of a frame whose checksum the peer can finish, as the kernel's
 * vxlan_build_skb decides it: partial, TCP or UDP, at an even offset of at most 254 bytes from the
 * inner Ethernet header. Of superpackets, whose headers must be located, every segment. Hot.
 * @param frame row of the frame in the batch
 * @returns 0..255, or NO_REMOTE_CHECKSUM
 */
export function remoteChecksum(frames: Int32Array, frame: number): number {
  const row = frame * FRAME_WORDS;
  if ((frames[row + FRAME_FLAGS] & FRAME_NEEDS_CHECKSUM) === 0) return NO_REMOTE_CHECKSUM;
  const start = frames[row + FRAME_CSUM_START];
  const offset = frames[row + FRAME_CSUM_OFFSET];
  if ((start & 1) !== 0 || start > RCO_MAX_START) return NO_REMOTE_CHECKSUM;
  if (frames[row + FRAME_GSO_TYPE] !== GSO_NONE && frames[row + FRAME_L4] !== start) {
    return NO_REMOTE_CHECKSUM;
  }
  if (offset === TCP_CHECKSUM) return start >> 1;
  return offset === UDP_CHECKSUM ? (start >> 1) | RCO_UDP : NO_REMOTE_CHECKSUM;
}

/** Writes headers of one tunnel, 8 bytes each. Hot. */
export class VxlanHeader {
  readonly #tunnel: VxlanSettings;
  readonly #remotes: RemoteTable;
  readonly #group: number;

  constructor(tunnel: VxlanSettings, remotes: RemoteTable) {
    this.#tunnel = tunnel;
    this.#remotes = remotes;
    this.#group = Math.max(0, tunnel.gbpId);
  }

  /** Writes the header that most remotes of the tunnel get. @param rco what `remoteChecksum` gave */
  writeCommon(bytes: Uint8Array, at: number, rco: number): void {
    writeHeader(bytes, at, this.#tunnel.vni, this.#group, rco);
  }

  /** Is the header for this remote the common one? */
  isCommon(remote: number): boolean {
    if (this.#remotes.vni(remote) !== this.#tunnel.vni) return false;
    return groupOf(this.#tunnel, this.#remotes, remote) === this.#group;
  }

  /** Writes the header for one remote. @param rco what `remoteChecksum` gave */
  write(bytes: Uint8Array, at: number, remote: number, rco: number): void {
    const group = groupOf(this.#tunnel, this.#remotes, remote);
    writeHeader(bytes, at, this.#remotes.vni(remote), group, rco);
  }
}

function writeHeader(bytes: Uint8Array, at: number, vni: number, group: number, rco: number): void {
  writeVxlan(bytes, at, vni);
  if (group !== 0) writeVxlanGroup(bytes, at, group);
  if (rco !== NO_REMOTE_CHECKSUM) writeVxlanRco(bytes, at, rco);
}
