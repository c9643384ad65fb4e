// Ethernet II headers [IEEE 802.3 § 3.1.1]. Accessors are for the data path: run checkEthernet once
// before them.

import { readU16, writeU16 } from "./byte-order.js";
import { MAC_BYTES, type Mac, macHi, macLo, writeMac } from "./mac.js";

export const ETHERNET_DESTINATION = 0;
export const ETHERNET_SOURCE = MAC_BYTES;
export const ETHERNET_TYPE = 2 * MAC_BYTES;
export const ETHERNET_HEADER_BYTES = 14;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
/** 802.1Q, the customer tag. */
export const ETHERTYPE_VLAN = 0x8100;
/** 802.1ad, the service tag. */
export const ETHERTYPE_QINQ = 0x88a8;
export const ETHERTYPE_IPV6 = 0x86dd;
/** Smaller values of the type field are 802.3 lengths [IEEE 802.3 § 3.2.6]. */
export const ETHERTYPE_MIN = 0x0600;

/** The type field (0x8100 for a tagged frame); below ETHERTYPE_MIN it is an 802.3 length. */
export function etherType(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + ETHERNET_TYPE);
}

export function writeEtherType(bytes: Uint8Array, at: number, type: number): void {
  writeU16(bytes, at + ETHERNET_TYPE, type);
}

export function ethernetDestinationHi(bytes: Uint8Array, at: number): number {
  return macHi(bytes, at + ETHERNET_DESTINATION);
}

export function ethernetDestinationLo(bytes: Uint8Array, at: number): number {
  return macLo(bytes, at + ETHERNET_DESTINATION);
}

export function ethernetSourceHi(bytes: Uint8Array, at: number): number {
  return macHi(bytes, at + ETHERNET_SOURCE);
}

export function ethernetSourceLo(bytes: Uint8Array, at: number): number {
  return macLo(bytes, at + ETHERNET_SOURCE);
}

export function writeEthernetDestination(bytes: Uint8Array, at: number, hi: number, lo: number) {
  writeMac(bytes, at + ETHERNET_DESTINATION, hi, lo);
}

export function writeEthernetSource(bytes: Uint8Array, at: number, hi: number, lo: number): void {
  writeMac(bytes, at + ETHERNET_SOURCE, hi, lo);
}

/** True when a whole header lies in `at`..`end`. */
export function checkEthernet(_bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= ETHERNET_HEADER_BYTES;
}

export interface EthernetRepr {
  destination: Mac;
  source: Mac;
  etherType: number;
}

export function parseEthernet(
  bytes: Uint8Array,
  at: number,
  end: number,
): EthernetRepr | undefined {
  if (!checkEthernet(bytes, at, end)) return undefined;
  return {
    destination: { hi: ethernetDestinationHi(bytes, at), lo: ethernetDestinationLo(bytes, at) },
    source: { hi: ethernetSourceHi(bytes, at), lo: ethernetSourceLo(bytes, at) },
    etherType: etherType(bytes, at),
  };
}

/** Writes the header; returns its 14 bytes. */
export function emitEthernet(repr: EthernetRepr, bytes: Uint8Array, at: number): number {
  writeEthernetDestination(bytes, at, repr.destination.hi, repr.destination.lo);
  writeEthernetSource(bytes, at, repr.source.hi, repr.source.lo);
  writeEtherType(bytes, at, repr.etherType);
  return ETHERNET_HEADER_BYTES;
}
