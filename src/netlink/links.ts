// Network devices over rtnetlink: list, look up, set, delete (RTM_*LINK, rtnetlink(7)). Stateless;
// every call is one exchange with the kernel.

import { formatIp, formatMac, parseMac } from "./address-text.js";
import { hasCode } from "./errors.js";
import type { NetlinkMessage } from "./message.js";
import { Attributes, MessageBuilder, structOf } from "./message.js";
import type { NetlinkSocket } from "./netlink-socket.js";
import {
  AddressFamily,
  IffFlag,
  Inet6LinkAttribute,
  IpTunnelAttribute,
  LinkAttribute,
  LinkInfoAttribute,
  noAddressGeneration,
  Rtm,
  skipStatistics,
  VxlanAttribute,
} from "./rtnetlink-constants.js";

/** What a kernel device of kind vxlan was made with. */
export interface VxlanLink {
  vni: number;
  /** Destination port, which is also the port its socket holds while the device is up. */
  port: number;
  /**
   * Family of the outer packets; undefined for an `external` device, which holds the port in both.
   */
  family: 4 | 6 | undefined;
  local: string | undefined;
  /** Index of the underlay device (`dev`). */
  dev: number | undefined;
}

/** What a kernel device of kind ipip, sit or ip6tnl was made with. */
export interface IpTunnelLink {
  /** Undefined: any. */
  local: string | undefined;
  /** Undefined: any. */
  remote: string | undefined;
  /** IP protocol of what it takes: 4, 41, or 0 for any. */
  protocol: number;
}

export interface Link {
  index: number;
  name: string;
  /** IFLA_INFO_KIND: `veth`, `tun`, `bridge`, `vxlan` ...; undefined for hardware and loopback. */
  kind: string | undefined;
  mtu_bytes: number;
  /** Undefined for devices without Ethernet addresses (TUN, IP tunnels). */
  mac: string | undefined;
  up: boolean;
  loopback: boolean;
  /** Index of the bridge, bond or VRF this link belongs to. */
  master: number | undefined;
  /** Number that `ip link set DEV group N` gave it, for commands about many links. */
  group: number;
  vxlan: VxlanLink | undefined;
  ipTunnel: IpTunnelLink | undefined;
}

/** What `setLink` changes; what is not given stays as it is. */
export interface LinkChange {
  up?: boolean;
  mtu_bytes?: number;
  mac?: string;
  group?: number;
  /**
   * `none`: the kernel gives the device no IPv6 link-local address (`ip link set DEV addrgenmode
   * none`).
   */
  addressGeneration?: "none";
}

const ifinfomsgLength = 16;
/** IFNAMSIZ without the terminating zero: longer names are alternative names. */
const maxName_bytes = 15;

function linkRequest(type: number, index: number, flags = 0, changedFlags = 0): MessageBuilder {
  const request = new MessageBuilder(type, 0).u8(AddressFamily.unspecified).u8(0).u16(0);
  return request.u32(index).u32(flags).u32(changedFlags);
}

function vxlanOf(data: Attributes): VxlanLink | undefined {
  const vni = data.u32(VxlanAttribute.id);
  const port = data.u16BigEndian(VxlanAttribute.port);
  if (vni === undefined || port === undefined) return undefined;
  const local6 = data.bytes(VxlanAttribute.local6);
  const local = data.bytes(VxlanAttribute.local) ?? local6;
  const overIpv6 = local6 !== undefined || data.bytes(VxlanAttribute.group6) !== undefined;
  const external = data.u8(VxlanAttribute.collectMetadata) === 1;
  return {
    vni,
    port,
    family: external ? undefined : overIpv6 ? 6 : 4,
    local: local === undefined ? undefined : formatIp(local),
    dev: data.u32(VxlanAttribute.link),
  };
}

const ipTunnelKinds: ReadonlySet<string | undefined> = new Set(["ipip", "sit", "ip6tnl"]);

function ipTunnelOf(data: Attributes): IpTunnelLink {
  const address = (attribute: number): string | undefined => {
    const bytes = data.bytes(attribute);
    return bytes?.some((byte) => byte !== 0) ? formatIp(bytes) : undefined;
  };
  return {
    local: address(IpTunnelAttribute.local),
    remote: address(IpTunnelAttribute.remote),
    protocol: data.u8(IpTunnelAttribute.protocol) ?? 0,
  };
}

function parseLink(message: NetlinkMessage): Link {
  const header = structOf(message.payload, ifinfomsgLength, "ifinfomsg");
  const attributes = new Attributes(message.payload, ifinfomsgLength);
  const info = attributes.nested(LinkAttribute.linkInfo);
  const kind = info?.text(LinkInfoAttribute.kind);
  const data = info?.nested(LinkInfoAttribute.data);
  const mac = attributes.bytes(LinkAttribute.address);
  const flags = header.u32(8);
  return {
    index: header.i32(4),
    name: attributes.text(LinkAttribute.name) ?? "",
    kind,
    mtu_bytes: attributes.u32(LinkAttribute.mtu) ?? 0,
    mac: mac?.length === 6 ? formatMac(mac) : undefined,
    up: (flags & IffFlag.up) !== 0,
    loopback: (flags & IffFlag.loopback) !== 0,
    master: attributes.u32(LinkAttribute.master),
    group: attributes.u32(LinkAttribute.group) ?? 0,
    vxlan: data !== undefined && kind === "vxlan" ? vxlanOf(data) : undefined,
    ipTunnel: data !== undefined && ipTunnelKinds.has(kind) ? ipTunnelOf(data) : undefined,
  };
}

/** All links of this network namespace, in the order of their index. */
export function listLinks(rtnl: NetlinkSocket): Link[] {
  const request = linkRequest(Rtm.getLink, 0);
  request.attributeU32(LinkAttribute.extendedMask, skipStatistics);
  const links = rtnl
    .dump(request, { subject: "link", verb: "list", object: () => "the links" })
    .map(parseLink);
  return links.sort((left, right) => left.index - right.index);
}

function findLink(rtnl: NetlinkSocket, request: MessageBuilder, what: string): Link | undefined {
  request.attributeU32(LinkAttribute.extendedMask, skipStatistics);
  try {
    return parseLink(
      rtnl.get(request, { subject: "link", verb: "get", object: () => `link ${what}` }),
    );
  } catch (error) {
    if (hasCode(error, "CULVERT_NO_DEVICE")) return undefined;
    throw error;
  }
}

/** The link of that name (or alternative name), undefined if there is none. */
export function linkByName(rtnl: NetlinkSocket, name: string): Link | undefined {
  const length_bytes = Buffer.byteLength(name);
  if (length_bytes === 0) return undefined;
  const attribute =
    length_bytes <= maxName_bytes ? LinkAttribute.name : LinkAttribute.alternativeName;
  const request = linkRequest(Rtm.getLink, 0).attributeText(attribute, name);
  return findLink(rtnl, request, name);
}

/** The link of that index, undefined if there is none. */
export function linkByIndex(rtnl: NetlinkSocket, index: number): Link | undefined {
  return index > 0 ? findLink(rtnl, linkRequest(Rtm.getLink, index), `${index}`) : undefined;
}

/** The name of a link for an error message; `link 7` if it is gone. */
export function describeLink(rtnl: NetlinkSocket, index: number): string {
  return linkByIndex(rtnl, index)?.name ?? `link ${index}`;
}

/** Sets address, then MTU, then up or down, in one request as the kernel orders them. */
export function setLink(rtnl: NetlinkSocket, index: number, change: LinkChange): void {
  const { up, mtu_bytes, mac, group, addressGeneration } = change;
  const flags = up === true ? IffFlag.up : 0;
  const request = linkRequest(Rtm.newLink, index, flags, up === undefined ? 0 : IffFlag.up);
  if (mtu_bytes !== undefined) request.attributeU32(LinkAttribute.mtu, mtu_bytes);
  if (mac !== undefined) request.attribute(LinkAttribute.address, parseMac(mac));
  if (group !== undefined) request.attributeU32(LinkAttribute.group, group);
  if (addressGeneration === "none") {
    request.nested(LinkAttribute.familySpecific, (families) =>
      families.nested(AddressFamily.inet6, (inet6) =>
        inet6.attribute(
          Inet6LinkAttribute.addressGenerationMode,
          Uint8Array.of(noAddressGeneration),
        ),
      ),
    );
  }
  const object = (): string => {
    const parts = [
      mac === undefined ? undefined : `MAC ${mac}`,
      mtu_bytes === undefined ? undefined : `MTU ${mtu_bytes}`,
      up === undefined ? undefined : up ? "up" : "down",
      group === undefined ? undefined : `group ${group}`,
      addressGeneration === undefined ? undefined : "no IPv6 link-local address",
    ];
    const wanted = parts.filter((part) => part !== undefined).join(", ");
    return `${describeLink(rtnl, index)} to ${wanted}`;
  };
  rtnl.change(request, { subject: "link", verb: "set", object });
}

/**
 * Deletes a virtual link. Throws CULVERT_NO_DEVICE if it is gone, CULVERT_NOT_SUPPORTED for
 * hardware.
 */
export function deleteLink(rtnl: NetlinkSocket, index: number): void {
  const object = (): string => describeLink(rtnl, index);
  rtnl.change(linkRequest(Rtm.deleteLink, index), { subject: "link", verb: "delete", object });
}

/**
 * Deletes all links of a group at once: the kernel waits for its readers once and not once per link
 * (20 ms each).
 */
export function deleteLinkGroup(rtnl: NetlinkSocket, group: number): void {
  const request = linkRequest(Rtm.deleteLink, 0).attributeU32(LinkAttribute.group, group);
  const object = (): string => `the links of group ${group}`;
  rtnl.change(request, { subject: "link", verb: "delete", object });
}
