// What the data path reports: learned and moved MACs, misses, refusals; from real frames on memory
// devices.

import { describe, expect, it } from "vitest";
import {
  EVENT_ADDRESS,
  EVENT_COUNT,
  EVENT_KIND,
  EVENT_KINDS,
  EVENT_L2MISS,
  EVENT_L3MISS,
  EVENT_LEARNED,
  EVENT_MAC_HI,
  EVENT_MAC_LO,
  EVENT_MOVED,
  EVENT_OLD_REMOTE,
  EVENT_REASON,
  EVENT_REFUSED,
  EVENT_REMOTE,
} from "../../../src/events/event-record.js";
import { FDB_STATIC } from "../../../src/fdb/fdb.js";
import { DropReasons } from "../../../src/telemetry/drop-reasons.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import {
  arpFrame,
  frame4,
  ip,
  join,
  MAC_A,
  mac,
  solicitationFrame,
  vxlanHeader,
} from "./frames.js";
import { HOST_A, HOST_B, HOST_C, MemoryHost, VNI, type VxlanOptions } from "./memory-host.js";

/** Two configured remotes; every event is wanted. */
function hostWith(options: VxlanOptions = {}) {
  const host = new MemoryHost(new MemoryNetwork(), HOST_A);
  const side = host.vxlan(options);
  const rows = [host.remote(0, HOST_B), host.remote(0, HOST_C)] as const;
  host.inbox.want(0, (1 << EVENT_KINDS) - 1);
  const records: Int32Array[] = [];
  host.inbox.open({ take: (record) => void records.push(record.slice()), lost: () => undefined });
  const told = (...columns: number[]) => {
    host.inbox.drain();
    return records.map((record) => columns.map((column) => record[column]));
  };
  return { host, rows, told, ...side };
}

const datagram = (frame: Uint8Array) => join(vxlanHeader(VNI), frame);
const MAC = [EVENT_MAC_HI, EVENT_MAC_LO];
const ADDRESS = [0, 1, 2, 3].map((word) => EVENT_ADDRESS + word);
const { hi: HI, lo: LO } = mac(MAC_A);

describe("events of ingress", () => {
  it("are a MAC that is new and one that moves, not one that stays", () => {
    const { host, rows, told } = hostWith();
    for (const from of [HOST_B, HOST_B, HOST_C]) host.receiveUdp(datagram(frame4()), { from });
    expect(told(EVENT_KIND, ...MAC, EVENT_REMOTE, EVENT_OLD_REMOTE)).toEqual([
      [EVENT_LEARNED, HI, LO, rows[0], -1],
      [EVENT_MOVED, HI, LO, rows[1], rows[0]],
    ]);
  });

  it("are foreign sources with their packets", () => {
    const { host, told } = hostWith();
    const frames = join(datagram(frame4()), datagram(frame4()));
    host.receiveUdp(frames, { from: "10.57.4.99", segment_bytes: frames.length / 2 });
    const { w0, w1, w2, w3 } = ip("10.57.4.99");
    expect(told(EVENT_KIND, EVENT_REASON, EVENT_COUNT, EVENT_REMOTE, ...ADDRESS)).toEqual([
      [EVENT_REFUSED, DropReasons.foreignSource.id, 2, -1, w0, w1, w2, w3],
    ]);
  });

  it("are sources of a policy group that is not let in", () => {
    const { host, told } = hostWith({ gbpId: 7, gbpAllow: [7] });
    host.receiveUdp(datagram(frame4()));
    const { w0, w1, w2, w3 } = ip(HOST_B);
    expect(told(EVENT_KIND, EVENT_REASON, EVENT_COUNT, ...ADDRESS)).toEqual([
      [EVENT_REFUSED, DropReasons.gbpDenied.id, 1, w0, w1, w2, w3],
    ]);
  });

  it("are MACs that a static entry or a full table keeps from being learned", () => {
    const { host, rows, told, tunnel } = hostWith({ maxEntries: 1 });
    tunnel.fdb.add(HI, LO, rows[1], FDB_STATIC, 1);
    host.receiveUdp(datagram(frame4()));
    host.receiveUdp(datagram(frame4({}, MAC_A, "02:00:00:00:00:99")));
    expect(told(EVENT_KIND, EVENT_REASON, EVENT_REMOTE, ...MAC)).toEqual([
      [EVENT_REFUSED, DropReasons.staticMacMoved.id, rows[0], HI, LO],
      [EVENT_REFUSED, DropReasons.fdbFull.id, rows[0], 0x0200, 0x99],
    ]);
  });
});

describe("events of egress", () => {
  it("are destinations that neither FDB nor flood list know, multicast aside", () => {
    const { host, told, device } = hostWith();
    host.send(device, frame4({}, "02:00:00:00:00:77"), frame4({}, "01:00:5e:00:00:05"));
    expect(told(EVENT_KIND, ...MAC)).toEqual([[EVENT_L2MISS, 0x0200, 0x77]]);
  });

  it("are neighbours that the proxy does not know", () => {
    const { host, told, device } = hostWith({ proxy: true });
    host.send(device, arpFrame(1, "192.168.10.10", "192.168.11.99"));
    host.send(device, arpFrame(2, "192.168.10.10", "192.168.11.99")); // no question
    host.send(device, solicitationFrame("fd00::a", "fd00::99"));
    const v4 = ip("192.168.11.99");
    expect(told(EVENT_KIND, ...ADDRESS)).toEqual([
      [EVENT_L3MISS, v4.w0, v4.w1, v4.w2, v4.w3 | 0],
      [EVENT_L3MISS, 0xfd000000 | 0, 0, 0, 0x99],
    ]);
  });
});
