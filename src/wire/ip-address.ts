// IP addresses of both families as four unsigned 32-bit words, most significant first; IPv4 is
// IPv4-mapped: (0, 0, 0xffff, a.b.c.d) [RFC 4291 § 2.5.5.2]. Parses and prints them for control
// code; the data path works on the words alone. An address in the mapped range is IPv4, whichever
// way it was written.

const MAPPED_PREFIX_BITS = 96;
/** Third word of an IPv4 address; the first two are 0. */
export const IPV4_MAPPED = 0xffff;

export interface IpAddress {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
}

export interface IpPrefix {
  readonly ip: IpAddress;
  /** Prefix length in bits, in the family's own count: 0..32 for IPv4, 0..128 for IPv6. */
  readonly length: number;
  readonly family: 4 | 6;
}

/** The IpAddress of an IPv4 address given as unsigned 32-bit number. */
export function ipFromV4(address: number): IpAddress {
  return { w0: 0, w1: 0, w2: IPV4_MAPPED, w3: address };
}

const QUAD_PART = /^(?:0|[1-9]\d{0,2})$/;

/**
 * Dotted quad to unsigned 32-bit; no leading zeros (they mean octal to some), exactly four parts
 * [RFC 6943 § 3.1.1].
 */
function parseQuad(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let address = 0;
  for (const part of parts) {
    if (!QUAD_PART.test(part) || Number(part) > 255) return undefined;
    address = address * 256 + Number(part);
  }
  return address;
}

const GROUP = /^[0-9a-f]{1,4}$/i;

/**
 * One side of `::` (or the whole text) to 16-bit groups; a dotted quad may stand last where
 * `quadAllowed`.
 */
function parseGroups(text: string, quadAllowed: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const quad = quadAllowed && index === parts.length - 1 ? parseQuad(part) : undefined;
    if (quad === undefined) return undefined;
    groups.push(quad >>> 16, quad & 0xffff);
  }
  return groups;
}

function parseV6(text: string): IpAddress | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0], halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1], true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  // `::` stands for at least one group [RFC 4291 § 2.2].
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const g = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number) => g[i] * 0x10000 + g[i + 1];
  return { w0: word(0), w1: word(2), w2: word(4), w3: word(6) };
}

/**
 * Parses a dotted quad or an IPv6 address (no zone, no prefix length); undefined if it is neither.
 */
export function parseIp(text: string): IpAddress | undefined {
  if (text.includes(":")) return parseV6(text);
  const quad = parseQuad(text);
  return quad === undefined ? undefined : ipFromV4(quad);
}

/** Dotted quad of an unsigned 32-bit IPv4 address. */
export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;
}

/**
 * Dotted quad for IPv4-mapped; for IPv6 lower case, the longest run of zero groups as `::` [RFC
 * 5952 § 4].
 */
export function formatIp(w0: number, w1: number, w2: number, w3: number): string {
  if (w0 === 0 && w1 === 0 && w2 === IPV4_MAPPED) return formatIpv4(w3);
  const groups: number[] = [];
  for (const word of [w0, w1, w2, w3]) groups.push(word >>> 16, word & 0xffff);
  let runAt = 0;
  let runLength = 0;
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0) length++;
    // Strictly longer: the first of equal runs is shortened [RFC 5952 § 4.2.3].
    if (length > runLength) {
      runAt = at;
      runLength = length;
    }
  }
  const hex = groups.map((group) => group.toString(16));
  // One zero group alone is not shortened [RFC 5952 § 4.2.2].
  if (runLength < 2) return hex.join(":");
  return `${hex.slice(0, runAt).join(":")}::${hex.slice(runAt + runLength).join(":")}`;
}

export function isIpv4(ip: IpAddress): boolean {
  return ip.w0 === 0 && ip.w1 === 0 && ip.w2 === IPV4_MAPPED;
}

export function ipEquals(a: IpAddress, b: IpAddress): boolean {
  return a.w0 === b.w0 && a.w1 === b.w1 && a.w2 === b.w2 && a.w3 === b.w3;
}

/**
 * Parses `address/length`; host bits are kept. A mapped IPv6 notation becomes the IPv4 prefix it
 * stands for (`::ffff:10.0.0.0/104` is 10.0.0.0/8). Undefined when either part is missing or wrong.
 */
export function parsePrefix(text: string): IpPrefix | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const ip = parseIp(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (ip === undefined || !/^(?:0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const written = Number(digits);
  if (!isIpv4(ip)) return written <= 128 ? { ip, length: written, family: 6 } : undefined;
  const length = text.includes(":") ? written - MAPPED_PREFIX_BITS : written;
  return length >= 0 && length <= 32 ? { ip, length, family: 4 } : undefined;
}

/** `address/length` as parsePrefix reads it. */
export function formatPrefix(prefix: IpPrefix): string {
  const { w0, w1, w2, w3 } = prefix.ip;
  return `${formatIp(w0, w1, w2, w3)}/${prefix.length}`;
}

/** Network mask of one word whose first bit is bit `firstBit` of the address. */
function maskWord(word: number, firstBit: number, length: number): number {
  const bits = length - firstBit;
  // JavaScript takes shift counts modulo 32: none and all of the bits are cases of their own.
  if (bits <= 0) return 0;
  return bits >= 32 ? word : (word & (0xffffffff << (32 - bits))) >>> 0;
}

/**
 * The address with its host bits cleared; `length` in the family's own count (0..32 for an
 * IPv4-mapped one).
 */
export function maskIp(ip: IpAddress, length: number): IpAddress {
  if (isIpv4(ip)) return ipFromV4(maskWord(ip.w3, 0, length));
  return {
    w0: maskWord(ip.w0, 0, length),
    w1: maskWord(ip.w1, 32, length),
    w2: maskWord(ip.w2, 64, length),
    w3: maskWord(ip.w3, 96, length),
  };
}

/** True when bits behind the prefix length are set (192.168.11.1/24). */
export function prefixHasHostBits(prefix: IpPrefix): boolean {
  return !ipEquals(prefix.ip, maskIp(prefix.ip, prefix.length));
}

/** Is the address one of the prefix? */
export function prefixCovers({ family, ip, length }: IpPrefix, address: IpAddress): boolean {
  return (family === 4) === isIpv4(address) && ipEquals(ip, maskIp(address, length));
}

/** 224.0.0.0/4 [RFC 5771] or ff00::/8 [RFC 4291 § 2.7]. */
export function isMulticastIp(ip: IpAddress): boolean {
  return isIpv4(ip) ? ip.w3 >>> 28 === 0xe : ip.w0 >>> 24 === 0xff;
}

/** 0.0.0.0 or :: */
export function isUnspecifiedIp(ip: IpAddress): boolean {
  return ip.w0 === 0 && ip.w1 === 0 && (ip.w2 === 0 || ip.w2 === IPV4_MAPPED) && ip.w3 === 0;
}

/** 127.0.0.0/8 [RFC 1122 § 3.2.1.3] or ::1 */
export function isLoopbackIp(ip: IpAddress): boolean {
  if (isIpv4(ip)) return ip.w3 >>> 24 === 127;
  return ip.w0 === 0 && ip.w1 === 0 && ip.w2 === 0 && ip.w3 === 1;
}
