// Keepalives between culvert daemons: datagrams at the VXLAN port whose VXLAN header has no I flag.
// RFC 7348 § 5 has receivers drop those, so that the kernel's vxlan and others never take one for a
// frame. The VNI stands in its usual place: it tells the tunnel.
//
//   0        0                          first byte of a VXLAN header, no flag set
//   1        "CKA"                      magic in the reserved bytes
//   4        VNI, 0
//   8        version, kind              1; 1 request, 2 reply
//   10       reply port, 12 reply VNI   where the requester's tunnel listens
//   16       nonce, 20 sequence         of the requester; a reply repeats both
//   24       token                      the requester's word for whom it asked; repeated
//   28       time, 8 bytes              of the requester's clock, microseconds; repeated
//   36       instance                   of the sender: another one means it was started anew
//   40       sent, 8 bytes              packets that the sender sent to the receiver so far
//   48       arrived, 8 bytes           packets that arrived from the receiver at the sender so far
//
// A reply has the length of a request, so nobody is made to send more than he is sent. Numbers are
// unsigned, big endian; 8-byte ones below 2^53. What they mean is for others to say.

import { readU16, readU32, writeU16, writeU32 } from "./byte-order.js";
import { vxlanVni } from "./vxlan.js";

export const KEEPALIVE_BYTES = 56;
export const KEEPALIVE_REQUEST = 1;
export const KEEPALIVE_REPLY = 2;

/** The first four bytes: no flags, then "CKA". */
const MAGIC = 0x00434b41;
const VERSION = 1;
const VNI = 4;
const VERSION_AT = 8;
const KIND = 9;
const REPLY_PORT = 10;
const REPLY_VNI = 12;
const NONCE = 16;
const SEQUENCE = 20;
const TOKEN = 24;
const TIME = 28;
const INSTANCE = 36;
const SENT = 40;
const ARRIVED = 48;
const TWO_32 = 0x1_0000_0000;
/** High words of numbers below 2^53. */
const MAX_HIGH = 0x1f_ffff;

export interface KeepaliveRepr {
  vni: number;
  kind: number;
  replyPort: number;
  replyVni: number;
  nonce: number;
  sequence: number;
  token: number;
  time_us: number;
  instance: number;
  sent: number;
  arrived: number;
}

/** Does a keepalive, whole or not, begin at `at`? At least a VXLAN header must be there. */
export function isKeepalive(bytes: Uint8Array, at: number): boolean {
  return readU32(bytes, at) === MAGIC;
}

function readU53(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * TWO_32 + readU32(bytes, at + 4);
}

function writeU53(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, Math.floor(value / TWO_32));
  writeU32(bytes, at + 4, value % TWO_32);
}

/** The keepalive at `at`; undefined when it is no valid one of this version. */
export function parseKeepalive(
  bytes: Uint8Array,
  at: number,
  end: number,
): KeepaliveRepr | undefined {
  if (end - at !== KEEPALIVE_BYTES || !isKeepalive(bytes, at)) return undefined;
  const kind = bytes[at + KIND];
  if (bytes[at + VERSION_AT] !== VERSION) return undefined;
  if (kind !== KEEPALIVE_REQUEST && kind !== KEEPALIVE_REPLY) return undefined;
  for (const field of [TIME, SENT, ARRIVED]) {
    if (readU32(bytes, at + field) > MAX_HIGH) return undefined;
  }
  return {
    vni: vxlanVni(bytes, at),
    kind,
    replyPort: readU16(bytes, at + REPLY_PORT),
    replyVni: readU32(bytes, at + REPLY_VNI) >>> 8,
    nonce: readU32(bytes, at + NONCE),
    sequence: readU32(bytes, at + SEQUENCE),
    token: readU32(bytes, at + TOKEN),
    time_us: readU53(bytes, at + TIME),
    instance: readU32(bytes, at + INSTANCE),
    sent: readU53(bytes, at + SENT),
    arrived: readU53(bytes, at + ARRIVED),
  };
}

/** Writes a keepalive; returns its KEEPALIVE_BYTES. */
export function emitKeepalive(repr: KeepaliveRepr, bytes: Uint8Array, at: number): number {
  writeU32(bytes, at, MAGIC);
  writeU32(bytes, at + VNI, repr.vni << 8);
  bytes[at + VERSION_AT] = VERSION;
  bytes[at + KIND] = repr.kind;
  writeU16(bytes, at + REPLY_PORT, repr.replyPort);
  writeU32(bytes, at + REPLY_VNI, repr.replyVni << 8);
  writeU32(bytes, at + NONCE, repr.nonce);
  writeU32(bytes, at + SEQUENCE, repr.sequence);
  writeU32(bytes, at + TOKEN, repr.token);
  writeU53(bytes, at + TIME, repr.time_us);
  writeU32(bytes, at + INSTANCE, repr.instance);
  writeU53(bytes, at + SENT, repr.sent);
  writeU53(bytes, at + ARRIVED, repr.arrived);
  return KEEPALIVE_BYTES;
}
