// Routes of the main table over rtnetlink: add, replace, delete, and the kernel's own decision for
// one destination (RTM_*ROUTE, rtnetlink(7)). Stateless; other tables are not touched. Reading and
// following them is route-watch.ts.

import { CulvertError } from "../errors.js";
import type { IpAddress, IpFamily, IpPrefix } from "./address-text.js";
import { bitsOf, formatIp, kernelFamily, parseIp, parsePrefix } from "./address-text.js";
import { hasCode } from "./errors.js";
import { describeLink } from "./links.js";
import { Attributes, MessageBuilder, structOf } from "./message.js";
import type { NetlinkSocket } from "./netlink-socket.js";
import { type RouteMessage, readRoute } from "./route-messages.js";
import {
  EncapAttribute,
  EncapType,
  NlmFlag,
  RouteAttribute,
  RouteFlag,
  RouteMetric,
  RouteProtocol,
  RouteScope,
  RouteTable,
  RouteType,
  Rtm,
} from "./rtnetlink-constants.js";

/** A route to set or delete; words as in ip-route(8). */
export interface RouteSpec {
  /** `192.168.11.0/24`, an address, or `default` (of the family of `via`; IPv4 without one). */
  to: string;
  via?: string | undefined;
  /** IPv6 address that the device is to encapsulate to: `encap ip6 dst ADDRESS` (ip-route(8)). */
  encapTo?: string | undefined;
  /** Index of the device. */
  ifindex: number;
  /** The gateway counts as a neighbour although no address of the device is in its subnet. */
  onlink?: boolean | undefined;
  metric?: number | undefined;
  source?: string | undefined;
  /** rtm_protocol; `static` unless given. A deletion with one spares the routes of others. */
  protocol?: number | undefined;
}

/** The kernel's answer to "which way to this address". */
export interface RouteDecision {
  ifindex: number;
  gateway: string | undefined;
  source: string | undefined;
  /** Only where the route or a learned path MTU says so; otherwise the MTU of the device holds. */
  mtu_bytes: number | undefined;
}

const rtmsgLength = 12;

interface RtmsgFields {
  family: IpFamily;
  prefixLength?: number;
  table?: number;
  protocol?: number;
  scope?: number;
  type?: number;
  flags?: number;
}

function routeRequest(messageType: number, messageFlags: number, rtm: RtmsgFields): MessageBuilder {
  return new MessageBuilder(messageType, messageFlags)
    .u8(kernelFamily(rtm.family))
    .u8(rtm.prefixLength ?? 0)
    .u8(0)
    .u8(0)
    .u8(rtm.table ?? 0)
    .u8(rtm.protocol ?? RouteProtocol.unspecified)
    .u8(rtm.scope ?? RouteScope.universe)
    .u8(rtm.type ?? RouteType.unspecified)
    .u32(rtm.flags ?? 0);
}

/**
 * RTA_GATEWAY, or RTA_VIA (family, address) where the gateway is of the other family (RFC 5549).
 */
function gatewayOf(attributes: Attributes): string | undefined {
  const gateway = attributes.bytes(RouteAttribute.gateway);
  if (gateway !== undefined) return formatIp(gateway);
  const via = attributes.bytes(RouteAttribute.via);
  return via === undefined ? undefined : formatIp(via.subarray(2));
}

function destinationOf(spec: RouteSpec): IpPrefix {
  if (spec.to !== "default") return parsePrefix(spec.to);
  const overIpv6 = spec.via !== undefined && parseIp(spec.via).family === 6;
  return parsePrefix(overIpv6 ? "::/0" : "0.0.0.0/0");
}

function addGateway(request: MessageBuilder, gateway: IpAddress, family: IpFamily): void {
  if (gateway.family === family) {
    request.attribute(RouteAttribute.gateway, gateway.bytes);
    return;
  }
  const via = new Uint8Array(2 + gateway.bytes.length);
  new Uint16Array(via.buffer, 0, 1)[0] = kernelFamily(gateway.family);
  via.set(gateway.bytes, 2);
  request.attribute(RouteAttribute.via, via);
}

function addEncap(request: MessageBuilder, { bytes }: IpAddress): void {
  const type = new Uint8Array(2);
  new Uint16Array(type.buffer)[0] = EncapType.ip6;
  request.attribute(RouteAttribute.encapType, type);
  request.nested(RouteAttribute.encap, (inner) => {
    inner.attribute(EncapAttribute.destination, bytes);
  });
}

function changeRoute(
  rtnl: NetlinkSocket,
  spec: RouteSpec,
  verb: "add" | "replace" | "delete",
): void {
  const { family, prefixLength, bytes } = destinationOf(spec);
  const deleting = verb === "delete";
  const create = NlmFlag.create | (verb === "add" ? NlmFlag.exclusive : NlmFlag.replace);
  // ip-route(8): a route without a gateway reaches its destinations directly, scope link; IPv6
  // knows no such scope.
  const direct = family === 4 && spec.via === undefined;
  const scope = direct ? RouteScope.link : RouteScope.universe;
  const rtm: RtmsgFields = {
    family,
    prefixLength,
    table: RouteTable.main,
    protocol: spec.protocol ?? (deleting ? RouteProtocol.unspecified : RouteProtocol.static),
    scope: deleting ? RouteScope.nowhere : scope,
    type: deleting ? RouteType.unspecified : RouteType.unicast,
    flags: spec.onlink === true ? RouteFlag.onlink : 0,
  };
  const type = deleting ? Rtm.deleteRoute : Rtm.newRoute;
  const request = routeRequest(type, deleting ? 0 : create, rtm);
  request.attribute(RouteAttribute.destination, bytes);
  request.attributeU32(RouteAttribute.outputInterface, spec.ifindex);
  if (spec.via !== undefined) addGateway(request, parseIp(spec.via), family);
  if (spec.encapTo !== undefined) addEncap(request, parseIp(spec.encapTo));
  if (spec.metric !== undefined) request.attributeU32(RouteAttribute.priority, spec.metric);
  if (spec.source !== undefined) {
    request.attribute(RouteAttribute.preferredSource, parseIp(spec.source).bytes);
  }
  const object = (): string => {
    const gateway = spec.via === undefined ? "" : ` via ${spec.via}`;
    return `route ${spec.to}${gateway} dev ${describeLink(rtnl, spec.ifindex)}`;
  };
  rtnl.change(request, { subject: "route", verb, object });
}

/** What a dump is narrowed to, by the kernel. */
interface DumpFilter {
  ifindex?: number;
  protocol?: number;
}

function listFamily(
  rtnl: NetlinkSocket,
  { ifindex, protocol = RouteProtocol.unspecified }: DumpFilter,
  family: IpFamily,
): RouteMessage[] {
  const request = routeRequest(Rtm.getRoute, 0, { family, table: RouteTable.main, protocol });
  if (ifindex !== undefined) request.attributeU32(RouteAttribute.outputInterface, ifindex);
  const what = ifindex === undefined ? `protocol ${protocol}` : `link ${ifindex}`;
  const object = (): string => `the routes of ${what}`;
  try {
    const messages = rtnl.dump(request, { subject: "route", verb: "list", object });
    return messages.flatMap(({ payload }) => readRoute(payload) ?? []);
  } catch (error) {
    // The main table of a family comes into being with its first route.
    if (hasCode(error, "CULVERT_NOT_FOUND") || hasCode(error, "CULVERT_NOT_SUPPORTED")) return [];
    throw error;
  }
}

function listMain(rtnl: NetlinkSocket, filter: DumpFilter): RouteMessage[] {
  const routes = [...listFamily(rtnl, filter, 4), ...listFamily(rtnl, filter, 6)];
  // Kernels before 4.20 do not narrow a dump.
  return routes.filter(({ table }) => table === RouteTable.main);
}

/**
 * The unicast routes of the main table that leave by one device, multipath ones among them, IPv4
 * first. Throws CULVERT_NO_DEVICE if there is no such device.
 */
export function listRoutes(rtnl: NetlinkSocket, ifindex: number): RouteMessage[] {
  const leaves = ({ hops }: RouteMessage) => hops.some((hop) => hop.ifindex === ifindex);
  return listMain(rtnl, { ifindex }).filter(leaves);
}

/** The unicast routes of the main table that were set under one protocol number, IPv4 first. */
export function listRoutesOf(rtnl: NetlinkSocket, protocol: number): RouteMessage[] {
  return listMain(rtnl, { protocol }).filter((route) => route.protocol === protocol);
}

/**
 * Adds a route to the main table. Throws CULVERT_EXISTS if one with this destination and metric is
 * there.
 */
export function addRoute(rtnl: NetlinkSocket, route: RouteSpec): void {
  changeRoute(rtnl, route, "add");
}

/**
 * Adds a route or replaces the one with its destination and metric, whatever device that leaves by.
 */
export function replaceRoute(rtnl: NetlinkSocket, route: RouteSpec): void {
  changeRoute(rtnl, route, "replace");
}

/** Deletes the route that has all that is given. Throws CULVERT_NOT_FOUND if there is none. */
export function deleteRoute(rtnl: NetlinkSocket, route: RouteSpec): void {
  changeRoute(rtnl, route, "delete");
}

/**
 * `ip route get`: the way to `destination`, of a socket that is bound to the device `through` where
 * one is given. Throws CULVERT_NO_ROUTE if the kernel would not send there.
 */
export function getRoute(
  rtnl: NetlinkSocket,
  destination: string,
  through?: number,
): RouteDecision {
  const { family, bytes } = parseIp(destination);
  const prefixLength = bitsOf(family);
  const request = routeRequest(Rtm.getRoute, 0, { family, prefixLength });
  request.attribute(RouteAttribute.destination, bytes);
  if (through !== undefined) request.attributeU32(RouteAttribute.outputInterface, through);
  const object = (): string => `the route to ${destination}`;
  const { payload } = rtnl.get(request, { subject: "route", verb: "get", object });
  const type = structOf(payload, rtmsgLength, "rtmsg").u8(7);
  const attributes = new Attributes(payload, rtmsgLength);
  const ifindex = attributes.u32(RouteAttribute.outputInterface);
  if (type > RouteType.multicast || ifindex === undefined) {
    throw new CulvertError("CULVERT_NO_ROUTE", `cannot get ${object()}: a route refuses it`, {
      hint: "an unreachable, prohibit or blackhole route covers it: see `ip route show table all`",
    });
  }
  const source = attributes.bytes(RouteAttribute.preferredSource);
  return {
    ifindex,
    gateway: gatewayOf(attributes),
    source: source === undefined ? undefined : formatIp(source),
    mtu_bytes: attributes.nested(RouteAttribute.metrics)?.u32(RouteMetric.mtu),
  };
}
