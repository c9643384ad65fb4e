// Neighbour entries (ARP and ND caches) over rtnetlink: list for one device, add, replace, delete
// (RTM_*NEIGH, rtnetlink(7)). Stateless. Entries made here are permanent: the kernel never asks for
// nor ages them.

import type { IpFamily } from "./address-text.js";
import {
  familyOfKernel,
  formatIp,
  formatMac,
  kernelFamily,
  parseIp,
  parseMac,
} from "./address-text.js";
import { describeLink } from "./links.js";
import type { NetlinkMessage } from "./message.js";
import { Attributes, MessageBuilder, structOf } from "./message.js";
import type { NetlinkSocket } from "./netlink-socket.js";
import { NeighbourAttribute, NeighbourState, NlmFlag, Rtm } from "./rtnetlink-constants.js";

/** The states ip-neighbour(8) shows unless asked for more. */
const stateNames = {
  [NeighbourState.incomplete]: "incomplete",
  [NeighbourState.reachable]: "reachable",
  [NeighbourState.stale]: "stale",
  [NeighbourState.delay]: "delay",
  [NeighbourState.probe]: "probe",
  [NeighbourState.failed]: "failed",
  [NeighbourState.permanent]: "permanent",
} as const;

export type NeighbourStateName = (typeof stateNames)[keyof typeof stateNames];

export interface Neighbour {
  ifindex: number;
  family: IpFamily;
  ip: string;
  /** Undefined while it is not known. */
  mac: string | undefined;
  state: NeighbourStateName;
}

export interface NeighbourSpec {
  ifindex: number;
  ip: string;
  mac: string;
  /** NUD_NOARP instead of NUD_PERMANENT. */
  noArp?: boolean;
  /** NTF_ROUTER. */
  router?: boolean;
}

const ndmsgLength = 12;
/** linux/neighbour.h */
const NTF_ROUTER = 0x80;

/** ndmsg: family, padding, index, state, flags, type. */
function neighbourRequest(
  type: number,
  flags: number,
  family: number,
  ifindex: number,
  state: number,
  entryFlags = 0,
): MessageBuilder {
  const request = new MessageBuilder(type, flags).u8(family).u8(0).u16(0);
  return request.u32(ifindex).u16(state).u8(entryFlags).u8(0);
}

function stateNameOf(state: number): NeighbourStateName | undefined {
  return (stateNames as Record<number, NeighbourStateName | undefined>)[state];
}

function parseNeighbour(message: NetlinkMessage): Neighbour | undefined {
  const header = structOf(message.payload, ndmsgLength, "ndmsg");
  const family = familyOfKernel(header.u8(0));
  const state = stateNameOf(header.u16(8));
  const attributes = new Attributes(message.payload, ndmsgLength);
  const ip = attributes.bytes(NeighbourAttribute.destination);
  if (family === undefined || state === undefined || ip === undefined) return undefined;
  const mac = attributes.bytes(NeighbourAttribute.linkLayerAddress);
  return {
    ifindex: header.u32(4),
    family,
    ip: formatIp(ip),
    mac: mac === undefined ? undefined : formatMac(mac),
    state,
  };
}

/**
 * The neighbours of one device, as `ip neigh show dev` lists them: without those that need no
 * resolution.
 */
export function listNeighbours(rtnl: NetlinkSocket, ifindex: number): Neighbour[] {
  const request = neighbourRequest(Rtm.getNeighbour, 0, 0, 0, 0);
  request.attributeU32(NeighbourAttribute.interfaceIndex, ifindex);
  const object = (): string => `the neighbours of link ${ifindex}`;
  const neighbours: Neighbour[] = [];
  for (const message of rtnl.dump(request, { subject: "neighbour", verb: "list", object })) {
    const neighbour = parseNeighbour(message);
    if (neighbour?.ifindex === ifindex) neighbours.push(neighbour);
  }
  return neighbours;
}

function setNeighbour(rtnl: NetlinkSocket, spec: NeighbourSpec, verb: "add" | "replace"): void {
  const { family, bytes } = parseIp(spec.ip);
  const mode = verb === "add" ? NlmFlag.exclusive : NlmFlag.replace;
  const flags = NlmFlag.create | mode;
  const state = spec.noArp === true ? NeighbourState.noArp : NeighbourState.permanent;
  const { ifindex } = spec;
  const request = neighbourRequest(
    Rtm.newNeighbour,
    flags,
    kernelFamily(family),
    ifindex,
    state,
    spec.router === true ? NTF_ROUTER : 0,
  );
  request.attribute(NeighbourAttribute.destination, bytes);
  request.attribute(NeighbourAttribute.linkLayerAddress, parseMac(spec.mac));
  const object = (): string =>
    `neighbour ${spec.ip} (${spec.mac}) on ${describeLink(rtnl, ifindex)}`;
  rtnl.change(request, { subject: "neighbour", verb, object });
}

/** Adds a permanent entry. Throws CULVERT_EXISTS if the device has one for this address. */
export function addNeighbour(rtnl: NetlinkSocket, neighbour: NeighbourSpec): void {
  setNeighbour(rtnl, neighbour, "add");
}

/** Adds a permanent entry or makes the one for this address so. */
export function replaceNeighbour(rtnl: NetlinkSocket, neighbour: NeighbourSpec): void {
  setNeighbour(rtnl, neighbour, "replace");
}

/** Deletes the entry for `ip`. Throws CULVERT_NOT_FOUND if there is none. */
export function deleteNeighbour(rtnl: NetlinkSocket, ifindex: number, ip: string): void {
  const { family, bytes } = parseIp(ip);
  const request = neighbourRequest(Rtm.deleteNeighbour, 0, kernelFamily(family), ifindex, 0);
  request.attribute(NeighbourAttribute.destination, bytes);
  const object = (): string => `neighbour ${ip} on ${describeLink(rtnl, ifindex)}`;
  rtnl.change(request, { subject: "neighbour", verb: "delete", object });
}
