// /proc/net/udp and /proc/net/udp6 (proc(5)) as data. Pure: the caller reads the files. A line that
// does not have the form is skipped: the kernel may add columns, and a wrong guess here only makes
// an error message poorer.

import { endianness } from "node:os";
import type { IpFamily } from "./address-text.js";

export interface UdpSocketEntry {
  family: IpFamily;
  /** The local address, 4 or 16 bytes in network byte order. */
  address: Uint8Array;
  port: number;
  uid: number;
  /** 0 if the socket has none. */
  inode: number;
}

const hostIsLittleEndian = endianness() === "LE";

/**
 * Columns of a line: slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode
 * ...
 */
const localColumn = 1;
const uidColumn = 7;
const inodeColumn = 9;

/** The kernel prints each 32-bit word of the address as a number in host byte order. */
function addressOf(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) {
    const word = Number.parseInt(hex.slice(at * 2, at * 2 + 8), 16);
    view.setUint32(at, word, hostIsLittleEndian);
  }
  return bytes;
}

function parseLine(line: string, family: IpFamily): UdpSocketEntry | undefined {
  const columns = line.trim().split(/\s+/);
  if (columns.length <= inodeColumn) return undefined;
  const local = /^([0-9A-F]+):([0-9A-F]{4})$/.exec(columns[localColumn]);
  const uid = Number(columns[uidColumn]);
  const inode = Number(columns[inodeColumn]);
  if (local === null || local[1].length !== (family === 4 ? 8 : 32)) return undefined;
  if (!Number.isSafeInteger(uid) || !Number.isSafeInteger(inode)) return undefined;
  return { family, address: addressOf(local[1]), port: Number.parseInt(local[2], 16), uid, inode };
}

/** The sockets in the text of /proc/net/udp (`family` 4) or /proc/net/udp6 (6). */
export function parseProcUdp(text: string, family: IpFamily): UdpSocketEntry[] {
  const entries = text.split("\n").map((line) => parseLine(line, family));
  return entries.filter((entry) => entry !== undefined);
}
