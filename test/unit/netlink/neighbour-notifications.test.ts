// Bytes as the kernel's vxlan device sends them: recorded from Linux 6.18 by a listener of
// RTNLGRP_NEIGH. Times are those of the recording, which had none.

import { beforeEach, describe, expect, it } from "vitest";
import { parseMessages } from "../../../src/netlink/message.js";
import {
  type NeighbourNotification,
  NeighbourNotifications,
} from "../../../src/netlink/neighbour-notifications.js";
import { AddressFamily } from "../../../src/netlink/rtnetlink-constants.js";
import { bytesOf, message } from "./scripted-transport.js";

const IFINDEX = 3;
const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const SELF = 0x02;
const NO_TIMES = `14000300${"00".repeat(16)}`;
const IPV4 = [0, 0, 0xffff, 0x0a390415] as const;
const MAC = { hi: 0x0200, lo: 0x0e };

let sent: Uint8Array[];
let notifications: NeighbourNotifications;
beforeEach(() => {
  sent = [];
  notifications = new NeighbourNotifications((datagram, length) => {
    sent.push(datagram.slice(0, length));
  });
});

/** The datagram that one notification becomes. */
function bytesFor(notification: NeighbourNotification): Uint8Array {
  notifications.add(notification);
  notifications.flush();
  return sent.at(-1)!;
}

describe("NeighbourNotifications", () => {
  it("tells of a learned entry", () => {
    const learned: NeighbourNotification = {
      ...{ type: "new", ifindex: IFINDEX, family: AddressFamily.bridge, state: 0x02, flags: SELF },
      ...{ mac: MAC, address: IPV4 },
    };
    const body = [
      "07000000 03000000 0200 02 01",
      "0a000200 02000000000e 0000",
      "08000100 0a390415",
    ];
    expect(bytesFor(learned)).toEqual(message(RTM_NEWNEIGH, 0, bytesOf(...body, NO_TIMES)));
  });

  it("tells of a removed entry with port and VNI of its own, and how long it was idle", () => {
    const removed: NeighbourNotification = {
      ...{ type: "del", ifindex: IFINDEX, family: AddressFamily.bridge, state: 0xc0, flags: SELF },
      ...{ mac: { hi: 0x0200, lo: 4 }, address: IPV4, port: 8472, vni: 7, idle_s: 20 },
    };
    const body = [
      "07000000 03000000 c000 02 01",
      "0a000200 020000000004 0000",
      "08000100 0a390415",
      "06000600 2118 0000",
      "08000700 07000000",
      "14000300 00000000 d0070000 d0070000 00000000",
    ];
    expect(bytesFor(removed)).toEqual(message(RTM_DELNEIGH, 0, bytesOf(...body)));
  });

  it("tells of misses, without the VNI that the kernel adds by accident", () => {
    const l2miss: NeighbourNotification = {
      ...{ type: "miss", ifindex: IFINDEX, family: AddressFamily.inet, state: 0x04, flags: 0 },
      mac: { hi: 0x0200, lo: 0x77 },
    };
    const mac = ["02000000 03000000 0400 00 01", "0a000200 020000000077 0000", NO_TIMES];
    expect(bytesFor(l2miss)).toEqual(message(RTM_GETNEIGH, 0, bytesOf(...mac)));
    const l3miss: NeighbourNotification = {
      ...{ type: "miss", ifindex: IFINDEX, family: AddressFamily.inet6, state: 0x04, flags: 0 },
      address: [0xfd000000, 0, 0, 8],
    };
    const ip = ["0a000000 03000000 0400 00 01", `14000100 fd${"00".repeat(14)}08`, NO_TIMES];
    expect(bytesFor(l3miss)).toEqual(message(RTM_GETNEIGH, 0, bytesOf(...ip)));
  });

  it("puts many into one datagram, and sends none when there is nothing", () => {
    notifications.flush();
    expect(sent).toEqual([]);
    const count = 200;
    for (let lo = 0; lo < count; lo++) {
      notifications.add({
        ...{ type: "new", ifindex: IFINDEX, family: AddressFamily.bridge, state: 2, flags: SELF },
        ...{ mac: { hi: 1, lo }, address: IPV4 },
      });
    }
    notifications.flush();
    expect(sent.length).toBeLessThan(6);
    for (const { length } of sent) expect(length).toBeLessThanOrEqual(4096);
    const messages = sent.flatMap((datagram) => parseMessages(datagram));
    const last = messages.map(({ payload }) => payload[21]! | (payload[20]! << 8));
    expect(last).toEqual(Array.from({ length: count }, (_, lo) => lo));
  });
});
