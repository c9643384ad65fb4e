// IP addresses, prefixes, MACs and listen addresses as the configuration writes them: parsing,
// canonical text and, for what is wrong, the words that say what was expected. Control plane only;
// the data path has its own form.

import { isIPv4, isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";

export type AddressFamily = 4 | 6;

export interface ParsedAddress {
  family: AddressFamily;
  /** Canonical text; IPv6 as RFC 5952 wants it. */
  text: string;
  /** 4 or 16 bytes, network order. */
  bytes: readonly number[];
}

export interface ParsedPrefix {
  family: AddressFamily;
  /** Canonical address, host bits kept. */
  address: string;
  /** Canonical address with the host bits cleared. */
  network: string;
  /** Prefix length in bits. */
  length: number;
}

export const ZERO_MAC = "00:00:00:00:00:00";

/**
 * Parses an address without prefix length or zone; IPv4-mapped IPv6 is refused (undefined), as is
 * `010.0.0.1`.
 */
export function parseAddress(text: string): ParsedAddress | undefined {
  if (isIPv4(text)) return { family: 4, text, bytes: ipaddr.IPv4.parse(text).toByteArray() };
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const address = ipaddr.IPv6.parse(text);
  if (address.isIPv4MappedAddress()) return undefined;
  return { family: 6, text: address.toRFC5952String(), bytes: address.toByteArray() };
}

/** The family of an address or prefix that is known to be valid. */
export function familyOf(text: string): AddressFamily {
  return text.includes(":") ? 6 : 4;
}

function maskBytes(bytes: readonly number[], length: number): number[] {
  return bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, length - index * 8));
    return byte & (0xff << (8 - bits)) & 0xff;
  });
}

/** Parses `address/length`; undefined when either part is missing or wrong. */
export function parsePrefix(text: string): ParsedPrefix | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  if (length > address.bytes.length * 8) return undefined;
  const masked = ipaddr.fromByteArray(maskBytes(address.bytes, length));
  const network = masked.kind() === "ipv6" ? (masked as ipaddr.IPv6).toRFC5952String() : masked;
  return { family: address.family, address: address.text, network: network.toString(), length };
}

/** Canonical text of a valid address. */
export function canonicalAddress(text: string): string {
  return parseAddress(text)?.text ?? text;
}

/** Canonical text of a valid `address/length`. */
export function canonicalPrefix(text: string): string {
  const prefix = parsePrefix(text);
  return prefix === undefined ? text : `${prefix.address}/${prefix.length}`;
}

/** Canonical text of a valid MAC address: lower case, colons. */
export function canonicalMac(text: string): string {
  return text.toLowerCase().replaceAll("-", ":");
}

export interface ListenAddress {
  host: string;
  port: number;
}

/**
 * Parses `127.0.0.1:9479` or `[::1]:9479`; undefined when it is neither. Hosts are addresses, not
 * names.
 */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([1-9]\d{0,4})$/.exec(text);
  if (match === null) return undefined;
  const host = parseAddress(match[1] ?? match[2]);
  const port = Number(match[3]);
  if (host === undefined || port > 65_535) return undefined;
  if ((match[1] === undefined) !== (host.family === 4)) return undefined;
  return { host: host.text, port };
}

/** Canonical text of a valid listen address. */
export function canonicalListenAddress(text: string): string {
  const listen = parseListenAddress(text);
  if (listen === undefined) return text;
  return listen.host.includes(":")
    ? `[${listen.host}]:${listen.port}`
    : `${listen.host}:${listen.port}`;
}

/** A fault function gives the words for what was expected, or undefined when the text is right. */
export type Fault = (text: string) => string | undefined;

export const EXPECTED_ADDRESS = "an IP address such as 192.168.11.1 or fd00:11::1";
export const EXPECTED_NEIGHBOR = "a unicast IP address such as 192.168.11.1 or fd00:11::1";
export const EXPECTED_UNDERLAY = "a unicast IP address such as 10.57.4.20 or fd00::20";
export const EXPECTED_INTERFACE_ADDRESS =
  "an address with its prefix length such as 192.168.10.1/24 or fd00:10::1/64";
export const EXPECTED_PREFIX = "a prefix such as 192.168.11.0/24 or fd00:11::/64";
export const EXPECTED_MAC = "a unicast MAC address such as 02:00:00:00:00:0b";
export const EXPECTED_FDB_MAC = `a MAC address such as 02:00:00:00:00:0b, or ${ZERO_MAC} for a flood list entry`;
export const EXPECTED_GROUP = "a multicast address such as 239.1.1.1 or ff05::100";
export const EXPECTED_PORT_RANGE = "a UDP port, or a range of ports such as 49152-65535";
export const EXPECTED_LISTEN = 'off, or address:port such as "127.0.0.1:9479" or "[::1]:9479"';

/** Any IPv4 or IPv6 address. */
export const addressFault: Fault = (text) => {
  const address = parseAddress(text);
  if (address !== undefined) return undefined;
  if (text.includes("/")) return `${EXPECTED_ADDRESS}, without a prefix length`;
  return EXPECTED_ADDRESS;
};

function isUnicast({ family, bytes }: ParsedAddress): boolean {
  if (family === 4) return bytes[0] !== 0 && bytes[0] < 224;
  return bytes[0] !== 0xff && bytes.some((byte) => byte !== 0);
}

/** An outer address. The outer header carries no zone, hence no link-local IPv6. */
export const underlayFault: Fault = (text) => {
  const address = parseAddress(text.split("%")[0]);
  if (address !== undefined && address.family === 6) {
    const linkLocal = address.bytes[0] === 0xfe && (address.bytes[1] & 0xc0) === 0x80;
    if (linkLocal) return "an IPv6 address that is not link-local";
  }
  if (address === undefined || text.includes("%")) return EXPECTED_UNDERLAY;
  if (groupFault(text) === undefined) {
    return `${EXPECTED_UNDERLAY}; a multicast group stands in \`group\` of the tunnel`;
  }
  return isUnicast(address) ? undefined : EXPECTED_UNDERLAY;
};

/** One host of the overlay. */
export const neighborFault: Fault = (text) => {
  const address = parseAddress(text);
  return address !== undefined && isUnicast(address) ? undefined : EXPECTED_NEIGHBOR;
};

/** What both kinds of `address/length` have in common: says which part is missing or wrong. */
function lengthFault(text: string, expected: string): string | undefined {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return expected;
  const bits = address.bytes.length * 8;
  if (slash < 0) return `a prefix length after the address, such as ${address.text}/${bits}`;
  if (parsePrefix(text) === undefined) return `a prefix length from 0 to ${bits}`;
  return undefined;
}

/** An address of the device, as `ip address add` takes it: host bits are its point. */
export const interfaceAddressFault: Fault = (text) => lengthFault(text, EXPECTED_INTERFACE_ADDRESS);

/** A prefix without host bits, as `ip route add` takes it. */
export const prefixFault: Fault = (text) => {
  const fault = lengthFault(text, EXPECTED_PREFIX);
  if (fault !== undefined) return fault;
  const prefix = parsePrefix(text);
  if (prefix === undefined || prefix.address === prefix.network) return undefined;
  return `${prefix.network}/${prefix.length} (no bits set after the prefix length)`;
};

const MAC_PATTERN = /^[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/i;

function isUnicastMac(text: string): boolean {
  return MAC_PATTERN.test(text) && (Number.parseInt(text.slice(0, 2), 16) & 1) === 0;
}

/** A unicast MAC, not all zero. */
export const macFault: Fault = (text) =>
  isUnicastMac(text) && canonicalMac(text) !== ZERO_MAC ? undefined : EXPECTED_MAC;

/** The MAC of an FDB entry; all zero is the flood list's entry, as in bridge(8). */
export const fdbMacFault: Fault = (text) => (MAC_PATTERN.test(text) ? undefined : EXPECTED_FDB_MAC);

/** True for the MACs whose FDB entries hold a list of remotes: all zero, and multicast. */
export function isListMac(mac: string): boolean {
  return canonicalMac(mac) === ZERO_MAC || (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
}

/** A multicast group of the underlay. Link-local IPv6 groups would need a zone. */
export const groupFault: Fault = (text) => {
  const address = parseAddress(text);
  if (address === undefined) return EXPECTED_GROUP;
  const [first, second] = address.bytes;
  if (address.family === 4) return first >= 224 && first < 240 ? undefined : EXPECTED_GROUP;
  if (first !== 0xff) return EXPECTED_GROUP;
  return (second & 0x0f) > 2
    ? undefined
    : "an IPv6 group of wider than link-local scope, such as ff05::100";
};

/** Both ends included. */
export interface PortRange {
  min: number;
  max: number;
}

/** Parses `4789` or `49152-65535`; undefined when it is neither or the range is empty. */
export function parsePortRange(text: string): PortRange | undefined {
  const match = /^([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?$/.exec(text);
  if (match === null) return undefined;
  const min = Number(match[1]);
  const max = Number(match[2] ?? match[1]);
  return min <= max && max <= 65_535 ? { min, max } : undefined;
}

export const portRangeFault: Fault = (text) =>
  parsePortRange(text) === undefined ? EXPECTED_PORT_RANGE : undefined;

/** Where metrics are served, or `off`. */
export const listenFault: Fault = (text) =>
  text === "off" || parseListenAddress(text) !== undefined ? undefined : EXPECTED_LISTEN;
