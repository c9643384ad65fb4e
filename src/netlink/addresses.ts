// IP addresses of links over rtnetlink: list, add, replace, delete (RTM_*ADDR, rtnetlink(7)).
// Stateless.

import type { IpFamily, IpPrefix } from "./address-text.js";
import {
  broadcastOf,
  familyOfKernel,
  formatIp,
  kernelFamily,
  kernelFamilyOrAny,
  parsePrefix,
} from "./address-text.js";
import { describeLink } from "./links.js";
import type { NetlinkMessage } from "./message.js";
import { Attributes, MessageBuilder, structOf } from "./message.js";
import type { NetlinkSocket, RequestContext } from "./netlink-socket.js";
import { IfaAttribute, IfaFlag, NlmFlag, RouteScope, Rtm } from "./rtnetlink-constants.js";

export interface LinkAddress {
  ifindex: number;
  family: IpFamily;
  /** The own address, without the prefix length. */
  address: string;
  prefixLength: number;
  /** The other end, if the address was set with one. */
  peer: string | undefined;
  broadcast: string | undefined;
  /** rtnetlink(7): 0 universe ("global"), 253 link, 254 host. */
  scope: number;
  /** Duplicate address detection runs or has failed: it cannot be bound yet. */
  tentative: boolean;
  /** Must not be the source of new traffic. */
  deprecated: boolean;
  /** IPv6 privacy address. */
  temporary: boolean;
  /** Set by hand: no lifetime ends it. */
  permanent: boolean;
}

export interface AddressFilter {
  ifindex?: number | undefined;
  family?: IpFamily | undefined;
}

const ifaddrmsgLength = 8;

function parseAddress(message: NetlinkMessage): LinkAddress | undefined {
  const header = structOf(message.payload, ifaddrmsgLength, "ifaddrmsg");
  const family = familyOfKernel(header.u8(0));
  const attributes = new Attributes(message.payload, ifaddrmsgLength);
  const address = attributes.bytes(IfaAttribute.address);
  const local = attributes.bytes(IfaAttribute.local) ?? address;
  if (family === undefined || local === undefined) return undefined;
  const flags = attributes.u32(IfaAttribute.flags) ?? header.u8(2);
  const broadcast = attributes.bytes(IfaAttribute.broadcast);
  const own = formatIp(local);
  const other = address === undefined ? own : formatIp(address);
  return {
    ifindex: header.u32(4),
    family,
    address: own,
    prefixLength: header.u8(1),
    peer: other === own ? undefined : other,
    broadcast: broadcast === undefined ? undefined : formatIp(broadcast),
    scope: header.u8(3),
    tentative: (flags & (IfaFlag.tentative | IfaFlag.dadFailed)) !== 0,
    deprecated: (flags & IfaFlag.deprecated) !== 0,
    // IFA_F_TEMPORARY has the value of IFA_F_SECONDARY, which is what it means for IPv4.
    temporary: family === 6 && (flags & IfaFlag.temporary) !== 0,
    permanent: (flags & IfaFlag.permanent) !== 0,
  };
}

/** The addresses of one link, or of all, in the kernel's order (per link: oldest first). */
export function listAddresses(rtnl: NetlinkSocket, filter: AddressFilter = {}): LinkAddress[] {
  const { ifindex, family } = filter;
  const request = new MessageBuilder(Rtm.getAddress, 0).u8(kernelFamilyOrAny(family));
  request
    .u8(0)
    .u8(0)
    .u8(0)
    .u32(ifindex ?? 0);
  const messages = rtnl.dump(request, {
    subject: "address",
    verb: "list",
    object: () => "the addresses",
  });
  const addresses: LinkAddress[] = [];
  for (const message of messages) {
    const address = parseAddress(message);
    if (address === undefined) continue;
    if (ifindex !== undefined && address.ifindex !== ifindex) continue;
    if (family === undefined || address.family === family) addresses.push(address);
  }
  return addresses;
}

function addressRequest(
  type: number,
  flags: number,
  ifindex: number,
  prefix: IpPrefix,
): MessageBuilder {
  const { family, bytes, prefixLength } = prefix;
  const addressFlags = family === 6 ? IfaFlag.noDad : 0;
  // ip-address(8): 127.0.0.0/8 has scope host unless told otherwise; IPv6 scopes are the kernel's
  // own business.
  const scope = family === 4 && bytes[0] === 127 ? RouteScope.host : RouteScope.universe;
  return new MessageBuilder(type, flags)
    .u8(kernelFamily(family))
    .u8(prefixLength)
    .u8(addressFlags)
    .u8(scope)
    .u32(ifindex)
    .attribute(IfaAttribute.local, bytes)
    .attribute(IfaAttribute.address, bytes);
}

function contextOf(
  rtnl: NetlinkSocket,
  verb: "add" | "replace" | "delete",
  address: string,
  ifindex: number,
): RequestContext {
  const object = (): string => `address ${address} on ${describeLink(rtnl, ifindex)}`;
  return { subject: "address", verb, object };
}

function setAddress(
  rtnl: NetlinkSocket,
  ifindex: number,
  address: string,
  verb: "add" | "replace",
): void {
  const prefix = parsePrefix(address);
  const mode = verb === "add" ? NlmFlag.exclusive : NlmFlag.replace;
  const request = addressRequest(Rtm.newAddress, NlmFlag.create | mode, ifindex, prefix);
  // RFC 3021: a /31 has no broadcast address, and neither has a single host.
  if (prefix.family === 4 && prefix.prefixLength > 0 && prefix.prefixLength <= 30) {
    request.attribute(IfaAttribute.broadcast, broadcastOf(prefix));
  }
  rtnl.change(request, contextOf(rtnl, verb, address, ifindex));
}

/**
 * Adds `address` ("192.168.10.1/24") as `ip address add ADDRESS broadcast +` does for IPv4 and `...
 * nodad` for IPv6, so that it can be bound at once. Throws CULVERT_EXISTS if the link has it.
 */
export function addAddress(rtnl: NetlinkSocket, ifindex: number, address: string): void {
  setAddress(rtnl, ifindex, address, "add");
}

/** As `addAddress`, but no error if the link has the address. */
export function replaceAddress(rtnl: NetlinkSocket, ifindex: number, address: string): void {
  setAddress(rtnl, ifindex, address, "replace");
}

/**
 * Deletes exactly this address and prefix length. Throws CULVERT_NOT_FOUND if the link does not
 * have it.
 */
export function deleteAddress(rtnl: NetlinkSocket, ifindex: number, address: string): void {
  const request = addressRequest(Rtm.deleteAddress, 0, ifindex, parsePrefix(address));
  rtnl.change(request, contextOf(rtnl, "delete", address, ifindex));
}
