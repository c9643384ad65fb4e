// Addresses as people write them <-> the bytes rtnetlink carries. Pure; anything that is not
// exactly one address (or prefix, or MAC) throws CULVERT_BAD_ADDRESS that quotes it.

import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { CulvertError } from "../errors.js";
import { malformedAnswer } from "./errors.js";
import { AddressFamily } from "./rtnetlink-constants.js";

export type IpFamily = 4 | 6;

/** An address in network byte order: 4 or 16 bytes. */
export interface IpAddress {
  family: IpFamily;
  bytes: Uint8Array;
}

export interface IpPrefix extends IpAddress {
  prefixLength: number;
}

function badAddress(text: string, expected: string): CulvertError {
  return new CulvertError("CULVERT_BAD_ADDRESS", `'${text}' is not ${expected}`, {
    hint: `write ${expected}`,
  });
}

/** Number of bits of an address. */
export const bitsOf = (family: IpFamily): number => (family === 4 ? 32 : 128);

/** AF_INET or AF_INET6. */
export const kernelFamily = (family: IpFamily): number =>
  family === 4 ? AddressFamily.inet : AddressFamily.inet6;

/** AF_INET, AF_INET6 or, for undefined, AF_UNSPEC. */
export const kernelFamilyOrAny = (family: IpFamily | undefined): number =>
  family === undefined ? AddressFamily.unspecified : kernelFamily(family);

/** The family of an AF_ number, undefined for families that are not IP. */
export function familyOfKernel(value: number): IpFamily | undefined {
  if (value === AddressFamily.inet) return 4;
  return value === AddressFamily.inet6 ? 6 : undefined;
}

/** Parses `10.0.0.1` or `fd00::1`; no zone, no short IPv4 forms. */
export function parseIp(text: string): IpAddress {
  const family = isIP(text);
  if (family === 0 || text.includes("%")) {
    throw badAddress(text, "an IP address such as 10.57.4.20 or fd00::20");
  }
  return { family: family === 4 ? 4 : 6, bytes: Uint8Array.from(ipaddr.parse(text).toByteArray()) };
}

/**
 * Prints 4 or 16 bytes, IPv6 as RFC 5952 wants it. Throws CULVERT_NETLINK_MALFORMED for another
 * length.
 */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw malformedAnswer(`an IP address of ${bytes.length} bytes`);
  return new ipaddr.IPv6(Array.from(bytes)).toRFC5952String();
}

/** The same text for every spelling of one address. */
export const canonicalIp = (text: string): string => formatIp(parseIp(text).bytes);

/** Parses `192.168.10.1/24`; without a length it is the whole address (/32, /128). */
export function parsePrefix(text: string): IpPrefix {
  const slash = text.indexOf("/");
  const { family, bytes } = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (slash < 0) return { family, bytes, prefixLength: bitsOf(family) };
  const digits = text.slice(slash + 1);
  const prefixLength = /^\d{1,3}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!(prefixLength <= bitsOf(family))) {
    throw badAddress(text, `an address with a prefix length from 0 to ${bitsOf(family)}`);
  }
  return { family, bytes, prefixLength };
}

/** The highest address of an IPv4 prefix: its broadcast address. */
export function broadcastOf(prefix: IpPrefix): Uint8Array {
  return prefix.bytes.map((byte, index) => {
    const networkBits = Math.min(8, Math.max(0, prefix.prefixLength - 8 * index));
    return byte | (0xff >> networkBits);
  });
}

/** Parses `02:00:00:00:00:0b`. */
export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw badAddress(text, "a MAC address such as 02:00:00:00:00:0b");
  }
  return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

/** Prints the bytes of a link-layer address, whatever their number. */
export const formatMac = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
