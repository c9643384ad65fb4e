// ARP for IPv4 over Ethernet [RFC 826], the only combination an overlay carries. Seen from behind
// the Ethernet header (and VLAN tags). Run checkArp once before the accessors.

import { readU16, readU32, writeU16, writeU32 } from "./byte-order.js";
import { ETHERTYPE_IPV4 } from "./ethernet.js";
import { MAC_BYTES, type Mac, macHi, macLo, writeMac } from "./mac.js";

export const ARP_HARDWARE_TYPE = 0;
export const ARP_PROTOCOL_TYPE = 2;
export const ARP_HARDWARE_LENGTH = 4;
export const ARP_PROTOCOL_LENGTH = 5;
export const ARP_OPERATION = 6;
export const ARP_SENDER_MAC = 8;
export const ARP_SENDER_IP = 14;
export const ARP_TARGET_MAC = 18;
export const ARP_TARGET_IP = 24;
export const ARP_BYTES = 28;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

const HARDWARE_ETHERNET = 1;
const IPV4_ADDRESS_BYTES = 4;

/** ARP_REQUEST, ARP_REPLY or anything else that was sent. */
export function arpOperation(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + ARP_OPERATION);
}

export function arpSenderMacHi(bytes: Uint8Array, at: number): number {
  return macHi(bytes, at + ARP_SENDER_MAC);
}

export function arpSenderMacLo(bytes: Uint8Array, at: number): number {
  return macLo(bytes, at + ARP_SENDER_MAC);
}

/** Unsigned 32-bit IPv4 address. */
export function arpSenderIp(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + ARP_SENDER_IP);
}

export function arpTargetMacHi(bytes: Uint8Array, at: number): number {
  return macHi(bytes, at + ARP_TARGET_MAC);
}

export function arpTargetMacLo(bytes: Uint8Array, at: number): number {
  return macLo(bytes, at + ARP_TARGET_MAC);
}

/** Unsigned 32-bit IPv4 address. */
export function arpTargetIp(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + ARP_TARGET_IP);
}

/** True for a whole packet for IPv4 over Ethernet, of any operation; what follows it is padding. */
export function checkArp(bytes: Uint8Array, at: number, end: number): boolean {
  return (
    end - at >= ARP_BYTES &&
    readU16(bytes, at + ARP_HARDWARE_TYPE) === HARDWARE_ETHERNET &&
    readU16(bytes, at + ARP_PROTOCOL_TYPE) === ETHERTYPE_IPV4 &&
    bytes[at + ARP_HARDWARE_LENGTH] === MAC_BYTES &&
    bytes[at + ARP_PROTOCOL_LENGTH] === IPV4_ADDRESS_BYTES
  );
}

export interface ArpRepr {
  operation: typeof ARP_REQUEST | typeof ARP_REPLY;
  senderMac: Mac;
  /** Unsigned 32-bit IPv4 addresses. */
  senderIp: number;
  targetMac: Mac;
  targetIp: number;
}

/** A request or reply; undefined for anything else. */
export function parseArp(bytes: Uint8Array, at: number, end: number): ArpRepr | undefined {
  if (!checkArp(bytes, at, end)) return undefined;
  const operation = arpOperation(bytes, at);
  if (operation !== ARP_REQUEST && operation !== ARP_REPLY) return undefined;
  return {
    operation,
    senderMac: { hi: arpSenderMacHi(bytes, at), lo: arpSenderMacLo(bytes, at) },
    senderIp: arpSenderIp(bytes, at),
    targetMac: { hi: arpTargetMacHi(bytes, at), lo: arpTargetMacLo(bytes, at) },
    targetIp: arpTargetIp(bytes, at),
  };
}

/** Writes the packet; returns its 28 bytes. */
export function emitArp(repr: ArpRepr, bytes: Uint8Array, at: number): number {
  writeU16(bytes, at + ARP_HARDWARE_TYPE, HARDWARE_ETHERNET);
  writeU16(bytes, at + ARP_PROTOCOL_TYPE, ETHERTYPE_IPV4);
  bytes[at + ARP_HARDWARE_LENGTH] = MAC_BYTES;
  bytes[at + ARP_PROTOCOL_LENGTH] = IPV4_ADDRESS_BYTES;
  writeU16(bytes, at + ARP_OPERATION, repr.operation);
  writeMac(bytes, at + ARP_SENDER_MAC, repr.senderMac.hi, repr.senderMac.lo);
  writeU32(bytes, at + ARP_SENDER_IP, repr.senderIp);
  writeMac(bytes, at + ARP_TARGET_MAC, repr.targetMac.hi, repr.targetMac.lo);
  writeU32(bytes, at + ARP_TARGET_IP, repr.targetIp);
  return ARP_BYTES;
}
