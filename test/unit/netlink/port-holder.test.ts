// Who holds a port, from /proc tables and socket inodes.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { PortQuery } from "../../../src/netlink/port-holder.js";
import { conflictingSockets, findSocketOwners } from "../../../src/netlink/port-holder.js";
import { parseProcUdp } from "../../../src/netlink/proc-udp.js";
import { bytesOf } from "./scripted-transport.js";

const header =
  "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const line = (local: string, remote: string, uid: number, inode: number): string =>
  `  123: ${local} ${remote} 07 00000000:00000000 00:00000000 00000000 ${uid}        0 ${inode} 2 0000000000000000 0\n`;

// A little-endian host prints 10.57.4.20 as 1404390A, port 4789 as 12B5.
const udp4 =
  header +
  line("1404390A:12B5", "00000000:0000", 0, 41) +
  line("00000000:2118", "00000000:0000", 1000, 42);
const udp6 =
  header +
  line(`${"0".repeat(32)}:12B5`, `${"0".repeat(32)}:0000`, 0, 0) +
  line("000057FD000000000000000020000000:0035", `${"0".repeat(32)}:0000`, 101, 44);

describe("parseProcUdp", () => {
  it("reads addresses, ports, uids and inodes of both families", () => {
    expect(parseProcUdp(udp4, 4)).toEqual([
      { family: 4, address: bytesOf("0a390414"), port: 4789, uid: 0, inode: 41 },
      { family: 4, address: bytesOf("00000000"), port: 8472, uid: 1000, inode: 42 },
    ]);
    expect(parseProcUdp(udp6, 6)).toEqual([
      { family: 6, address: new Uint8Array(16), port: 4789, uid: 0, inode: 0 },
      {
        family: 6,
        address: bytesOf("fd570000000000000000000000000020"),
        port: 53,
        uid: 101,
        inode: 44,
      },
    ]);
  });

  it("skips lines of another form", () => {
    expect(parseProcUdp("", 4)).toEqual([]);
    expect(parseProcUdp(udp6, 4)).toEqual([]);
    expect(parseProcUdp(udp4.replaceAll("12B5", "12B"), 4)).toHaveLength(1);
    expect(parseProcUdp(`${header}  1: 00000000:12B5 junk\n`, 4)).toEqual([]);
    for (let length = 0; length < udp4.length; length += 7) {
      expect(parseProcUdp(udp4.slice(0, length), 4).length).toBeLessThanOrEqual(2);
    }
  });
});

describe("conflictingSockets", () => {
  const entries = [...parseProcUdp(udp4, 4), ...parseProcUdp(udp6, 6)];
  const inodes = (query: PortQuery): number[] =>
    conflictingSockets(entries, query).map((entry) => entry.inode);

  it("finds what stands in the way of a bind", () => {
    expect(inodes({ port: 4789, family: 4, address: "10.57.4.20" })).toEqual([41]);
    expect(inodes({ port: 4789, family: 4 })).toEqual([41]);
    expect(inodes({ port: 8472, family: 4, address: "10.57.4.20" })).toEqual([42]);
    expect(inodes({ port: 53, family: 6, address: "FD57::0020" })).toEqual([44]);
    expect(inodes({ port: 53, family: 6, address: "fd57::21" })).toEqual([]);
    expect(inodes({ port: 9999, family: 4 })).toEqual([]);
  });

  it("looks into the other family only for the wildcard, and only if its own has nothing", () => {
    expect(inodes({ port: 4789, family: 4, address: "10.57.4.99" })).toEqual([0]);
    expect(inodes({ port: 53, family: 4 })).toEqual([]);
    expect(inodes({ port: 8472, family: 6 })).toEqual([42]);
    expect(inodes({ port: 8472, family: 6, address: "fd57::20" })).toEqual([]);
  });
});

describe("findSocketOwners", () => {
  it("finds this very process behind a socket it holds", async () => {
    const socket = createSocket("udp4");
    try {
      socket.bind(0, "127.0.0.1");
      await once(socket, "listening");
      const { port } = socket.address();
      const entries = parseProcUdp(readFileSync("/proc/net/udp", "latin1"), 4);
      const [entry] = entries.filter((candidate) => candidate.port === port);
      expect(entry.address).toEqual(bytesOf("7f000001"));
      const comm = readFileSync("/proc/self/comm", "latin1").trimEnd();
      expect(findSocketOwners(new Set([entry.inode])).get(entry.inode)).toContainEqual({
        pid: process.pid,
        comm,
      });
    } finally {
      socket.close();
    }
  });

  it("finds nobody behind nothing", () => {
    expect(findSocketOwners(new Set()).size).toBe(0);
    expect(findSocketOwners(new Set([0])).size).toBe(0);
  });
});
