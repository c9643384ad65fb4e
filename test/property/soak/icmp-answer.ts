// What an answer to the host must be: a whole ICMP or ICMPv6 error with right checksums, from and
// to single hosts, about a packet of the one it goes to, which is no such error itself.

import { isIcmpError, parseIcmp } from "../../../src/wire/icmp.js";
import { icmpv6ChecksumValid } from "../../../src/wire/icmpv6.js";
import { parseIpv4 } from "../../../src/wire/ipv4.js";
import { parseIpv6 } from "../../../src/wire/ipv6.js";

const ICMPV6 = 58;

/** @returns what is wrong with it, or undefined */
export function checkIcmpAnswer(bytes: Uint8Array): string | undefined {
  return bytes[0]! >>> 4 === 4 ? checkIcmp(bytes) : checkIcmpv6(bytes);
}

function checkIcmp(bytes: Uint8Array): string | undefined {
  const header = parseIpv4(bytes, 0, bytes.length);
  const message = parseIcmp(bytes, 20, bytes.length);
  if (header === undefined || message === undefined) return "malformed";
  if (header.payload_bytes + 20 !== bytes.length || bytes.length > 576) return "length";
  if (header.protocol !== 1 || !isIcmpError(message.type)) return `type ${message.type}`;
  for (const address of [header.source, header.destination]) {
    if (address >>> 28 >= 14) return "to or from a group";
  }
  const { data } = message;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (view.getUint32(12) !== header.destination) return "not to the packet's sender";
  if ((view.getUint16(6) & 0x1fff) !== 0) return "about a later fragment";
  const l4 = (data[0]! & 15) * 4;
  return data[9] === 1 && isIcmpError(data[l4]!) ? "about an error" : undefined;
}

function checkIcmpv6(bytes: Uint8Array): string | undefined {
  const header = parseIpv6(bytes, 0, bytes.length);
  if (header === undefined || header.nextHeader !== ICMPV6) return "malformed";
  if (header.payload_bytes + 40 !== bytes.length || bytes.length > 1280) return "length";
  if (!icmpv6ChecksumValid(bytes, 0, 40, bytes.length)) return "checksum";
  if (bytes[40]! === 0 || bytes[40]! > 4) return `type ${bytes[40]}`;
  if (bytes[8] === 0xff || bytes[24] === 0xff) return "to or from a group";
  const quoted = bytes.subarray(48);
  for (let n = 0; n < 16; n++) {
    if (quoted[8 + n] !== bytes[24 + n]) return "not to the packet's sender";
  }
  return quoted[6] === ICMPV6 && quoted[40]! < 128 ? "about an error" : undefined;
}
