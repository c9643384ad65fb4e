// `Tun` and `Tap`: one device as an object with properties, the surface people know from the
// tuntap2 package (which reads one packet per call). Made for scripts and tests; the daemon sets
// its devices up through src/netlink, and packets move through the batch functions on `fd`.
// Properties are read from and written to the kernel each time.

import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { getSystemErrorName } from "node:util";
import { DEVICE_TAP, DEVICE_TUN } from "./abi.js";
import { native } from "./addon.js";

const IFF_UP = 1;
const EADDRNOTAVAIL = -99;
const Interface = { mtu: 0, flags: 1, index: 2 } as const;

function check(result: number, what: string): number {
  if (result < 0) {
    throw new Error(`${what}: ${getSystemErrorName(result)}`, { cause: result });
  }
  return result;
}

function parseCidr(text: string, separator: string): { parts: string[]; prefix: number } {
  const [, address, prefix] = /^([^/]*)\/(\d{1,3})$/.exec(text) ?? [];
  if (address === undefined || prefix === undefined) {
    throw new TypeError(`"${text}" is not an address with a prefix length`);
  }
  return { parts: address.split(separator), prefix: Number(prefix) };
}

function ipv4Bytes(parts: string[], text: string): Uint8Array {
  if (parts.length !== 4 || parts.some((part) => !/^\d{1,3}$/.test(part) || Number(part) > 255)) {
    throw new TypeError(`"${text}" is not an IPv4 address`);
  }
  return Uint8Array.from(parts.map(Number));
}

function ipv6Bytes(text: string): Uint8Array {
  if (!isIPv6(text) || text.includes("%")) throw new TypeError(`"${text}" is not an IPv6 address`);
  // The URL parser writes an address in full canonical form, embedded IPv4 included.
  const host = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [head = "", tail] = host.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const fill = tail === undefined ? 0 : 8 - front.length - back.length;
  const groups = [...front, ...Array<string>(fill).fill("0"), ...back];
  return Uint8Array.from(groups.flatMap((g) => [parseInt(g, 16) >> 8, parseInt(g, 16) & 255]));
}

abstract class Device {
  readonly name: string;
  /** Descriptor of the device's first queue, for the batch functions. */
  readonly fd: number;
  #released = false;

  protected constructor(kind: number, name: string, options: { multiQueue?: boolean } = {}) {
    this.name = name;
    const opened = native.tuntapOpen(name, kind, options.multiQueue ? 1 : 0, 1);
    this.fd = check(opened, `cannot create device ${name}`);
  }

  get index(): number {
    return check(native.interfaceGet(this.name, Interface.index), `index of ${this.name}`);
  }

  /** Largest packet, bytes, link-layer header not counted. */
  get mtu(): number {
    return check(native.interfaceGet(this.name, Interface.mtu), `MTU of ${this.name}`);
  }
  set mtu(mtu_bytes: number) {
    check(native.interfaceSetMtu(this.name, mtu_bytes), `MTU ${mtu_bytes} on ${this.name}`);
  }

  get isUp(): boolean {
    const flags = native.interfaceGet(this.name, Interface.flags);
    return (check(flags, `flags of ${this.name}`) & IFF_UP) !== 0;
  }
  set isUp(up: boolean) {
    check(native.interfaceSetUp(this.name, up ? 1 : 0), `${this.name} up`);
  }

  /** `a.b.c.d/length`, or "" when the device has no IPv4 address. */
  get ipv4(): string {
    const address = new Uint8Array(4);
    const prefix = native.interfaceAddress(this.name, address, -1);
    if (prefix === EADDRNOTAVAIL) return "";
    return `${address.join(".")}/${check(prefix, `address of ${this.name}`)}`;
  }
  set ipv4(cidr: string) {
    const { parts, prefix } = parseCidr(cidr, ".");
    const result = native.interfaceAddress(this.name, ipv4Bytes(parts, cidr), prefix);
    check(result, `address ${cidr} on ${this.name}`);
  }

  /**
   * `x:x::x/length` of the first address that is not link-local, else of the link-local one, else
   * "".
   */
  get ipv6(): string {
    const rows = readFileSync("/proc/net/if_inet6", "utf8").trim().split("\n");
    const mine = rows
      .map((row) => row.split(/\s+/))
      .filter((f) => f[5] === this.name)
      .sort((a, b) => Number(a[3] === "20") - Number(b[3] === "20"));
    const [hex, , prefix] = mine[0] ?? [];
    if (hex === undefined || prefix === undefined) return "";
    const text = hex.match(/.{4}/g)!.join(":");
    return `${new URL(`http://[${text}]/`).hostname.slice(1, -1)}/${parseInt(prefix, 16)}`;
  }
  set ipv6(cidr: string) {
    const { parts, prefix } = parseCidr(cidr, "/");
    const bytes = ipv6Bytes(parts[0]!);
    check(native.interfaceAddress(this.name, bytes, prefix), `address ${cidr} on ${this.name}`);
  }

  /**
   * Closes the queue; the kernel removes the device, its addresses and its routes with the last
   * one.
   */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    check(native.descriptorClose(this.fd), `release ${this.name}`);
  }
}

/** A layer-3 device: IP packets. */
export class Tun extends Device {
  constructor(name: string, options: { multiQueue?: boolean } = {}) {
    super(DEVICE_TUN, name, options);
  }
}

/** A layer-2 device: Ethernet frames. */
export class Tap extends Device {
  constructor(name: string, options: { multiQueue?: boolean } = {}) {
    super(DEVICE_TAP, name, options);
  }

  /** `aa:bb:cc:dd:ee:ff` */
  get mac(): string {
    const bytes = new Uint8Array(6);
    check(native.interfaceMac(this.name, bytes, 0), `MAC of ${this.name}`);
    return Buffer.from(bytes).toString("hex").match(/../g)!.join(":");
  }
  set mac(mac: string) {
    const hex = mac.replaceAll(/[:-]/g, "");
    if (!/^[0-9a-fA-F]{12}$/.test(hex)) throw new TypeError(`"${mac}" is not a MAC address`);
    const bytes = new Uint8Array(Buffer.from(hex, "hex"));
    check(native.interfaceMac(this.name, bytes, 1), `MAC ${mac} on ${this.name}`);
  }
}
