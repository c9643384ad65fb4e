// A route as rtnetlink tells it (RTM_NEWROUTE, RTM_DELROUTE, rtnetlink(7)) -> plain numbers. There
// may be 100,000 of them in a row: one pass over the attributes, no text. No I/O, and no opinion on
// which routes matter beyond `unicast, not of the table local`.

import type { IpFamily } from "./address-text.js";
import { familyOfKernel } from "./address-text.js";
import { malformedAnswer } from "./errors.js";
import { eachAttribute, structOf } from "./message.js";
import {
  EncapAttribute,
  EncapType,
  RouteAttribute,
  RouteFlag,
  RouteTable,
  RouteType,
} from "./rtnetlink-constants.js";

/** Unsigned words of an address, most significant first; IPv4 as IPv4-mapped. */
export type AddressWords = readonly [number, number, number, number];

export interface RouteHop {
  readonly ifindex: number;
  /**
   * Of either family, whatever that of the route: `via`, or the destination of `encap ip` and
   * `encap ip6` (ip-route(8)); undefined: the destination is on the link.
   */
  readonly gateway: AddressWords | undefined;
  /** Share of the flows, 1..256. */
  readonly weight: number;
  /** The kernel does not use it: its link is down. */
  readonly dead: boolean;
  readonly onlink: boolean;
}

export interface RouteMessage {
  readonly family: IpFamily;
  readonly destination: AddressWords;
  readonly prefixLength: number;
  readonly tos: number;
  readonly table: number;
  /** rtnetlink(7) rtm_protocol: 2 kernel, 3 boot, 4 static ... */
  readonly protocol: number;
  /** 0 for IPv4 without one; IPv6 routes have 1024 then. */
  readonly metric: number;
  readonly scope: number;
  /** Preferred source (RTA_PREFSRC); the route goes when this address goes. */
  readonly source: AddressWords | undefined;
  /** Its next hops are those of a nexthop object (ip-nexthop(8)). */
  readonly nexthopObject: boolean;
  readonly hops: readonly RouteHop[];
}

const rtmsgLength = 12;
const rtnexthopLength = 8;

const align = (length: number): number => (length + 3) & ~3;

/** The bytes from `at` on as words; the rest of 4 words is 0. */
function wordsOf(bytes: Uint8Array, at: number): [number, number, number, number] {
  const word = (first: number): number => {
    let value = 0;
    for (let i = first; i < first + 4; i++) value = value * 256 + (bytes[at + i] ?? 0);
    return value;
  };
  return [word(0), word(4), word(8), word(12)];
}

/** An address of 4 or 16 bytes. */
function addressOf(bytes: Uint8Array): AddressWords {
  if (bytes.length === 16) return wordsOf(bytes, 0);
  if (bytes.length === 4) return [0, 0, 0xffff, wordsOf(bytes, 0)[0]];
  throw malformedAnswer(`an IP address of ${bytes.length} bytes`);
}

const ANY4: AddressWords = [0, 0, 0xffff, 0];
const ANY6: AddressWords = [0, 0, 0, 0];

/** Gathers what the attributes of one next hop say of its address. */
class Gateway {
  #gateway: AddressWords | undefined;
  #encap: Uint8Array | undefined;
  #encapType = 0;

  take(type: number, value: Uint8Array): void {
    if (type === RouteAttribute.gateway) this.#gateway = addressOf(value);
    // Family and address: the gateway is of the other family [RFC 5549].
    else if (type === RouteAttribute.via) this.#gateway = addressOf(value.subarray(2));
    else if (type === RouteAttribute.encap) this.#encap = value;
    else if (type === RouteAttribute.encapType)
      this.#encapType = structOf(value, 2, "encap").u16(0);
  }

  /** The destination of `encap ip` or `encap ip6` comes before a gateway: it is an outer address. */
  get address(): AddressWords | undefined {
    const addresses = this.#encapType === EncapType.ip || this.#encapType === EncapType.ip6;
    let destination: AddressWords | undefined;
    if (addresses && this.#encap !== undefined) {
      eachAttribute(this.#encap, 0, (type, value) => {
        if (type === EncapAttribute.destination) destination = addressOf(value);
      });
    }
    return destination ?? this.#gateway;
  }
}

const u32Of = (value: Uint8Array): number => structOf(value, 4, "attribute").u32(0);

/** The next hops of RTA_MULTIPATH: struct rtnexthop (length, flags, weight - 1, index) each. */
function hopsOf(bytes: Uint8Array): RouteHop[] {
  const hops: RouteHop[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const header = structOf(bytes.subarray(offset), rtnexthopLength, "rtnexthop");
    const length = header.u16(0);
    if (length < rtnexthopLength || length > bytes.length - offset) {
      throw malformedAnswer(`next hop length ${length} with ${bytes.length - offset} bytes left`);
    }
    const gateway = new Gateway();
    eachAttribute(bytes.subarray(offset, offset + length), rtnexthopLength, (type, value) => {
      gateway.take(type, value);
    });
    const flags = header.u8(2);
    const { address } = gateway;
    hops.push({
      ifindex: header.i32(4),
      gateway: address,
      weight: header.u8(3) + 1,
      ...flagsOf(flags),
    });
    offset += align(length);
  }
  return hops;
}

const flagsOf = (flags: number) => ({
  dead: (flags & RouteFlag.dead) !== 0,
  onlink: (flags & RouteFlag.onlink) !== 0,
});

/**
 * Reads one message; undefined for what delivers to no other host (local, broadcast, multicast,
 * unreachable ...), for what the kernel made of another route (cloned), and for routes that look at
 * the source as well (`ip -6 route add ... from`). Throws CULVERT_NETLINK_MALFORMED.
 */
export function readRoute(payload: Uint8Array): RouteMessage | undefined {
  const header = structOf(payload, rtmsgLength, "rtmsg");
  const family = familyOfKernel(header.u8(0));
  const flags = header.u32(8);
  if (family === undefined || header.u8(7) !== RouteType.unicast || header.u8(2) !== 0) {
    return undefined;
  }
  if ((flags & RouteFlag.cloned) !== 0) return undefined;
  let table = header.u8(4);
  let destination = family === 4 ? ANY4 : ANY6;
  let metric = 0;
  let ifindex: number | undefined;
  const gateway = new Gateway();
  let source: AddressWords | undefined;
  let nexthopObject = false;
  let multipath: RouteHop[] | undefined;
  eachAttribute(payload, rtmsgLength, (type, value) => {
    if (type === RouteAttribute.table) table = u32Of(value);
    else if (type === RouteAttribute.destination) destination = addressOf(value);
    else if (type === RouteAttribute.priority) metric = u32Of(value);
    else if (type === RouteAttribute.outputInterface) ifindex = u32Of(value);
    else if (type === RouteAttribute.preferredSource) source = addressOf(value);
    else if (type === RouteAttribute.nexthopId) nexthopObject = true;
    else if (type === RouteAttribute.multipath) multipath = hopsOf(value);
    else gateway.take(type, value);
  });
  if (table === RouteTable.local) return undefined;
  const single =
    ifindex === undefined
      ? []
      : [{ ifindex, gateway: gateway.address, weight: 1, ...flagsOf(flags) }];
  return {
    ...{ family, destination, table, metric, source, nexthopObject },
    prefixLength: header.u8(1),
    tos: header.u8(3),
    protocol: header.u8(5),
    scope: header.u8(6),
    hops: multipath ?? single,
  };
}
