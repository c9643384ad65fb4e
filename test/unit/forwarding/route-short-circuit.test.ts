// Route short circuit: which frames for a router go straight to the next hop, and what becomes of
// them. What the kernel does to them stands in test/netns/route-short-circuit.test.ts.

import { describe, expect, it } from "vitest";
import { FDB_PERMANENT, FDB_ROUTER } from "../../../src/fdb/fdb.js";
import { NEIGH_PERMANENT } from "../../../src/neigh/neigh.js";
import { MemoryNetwork } from "../../../src/underlay/memory-underlay.js";
import { ETHERTYPE_ARP } from "../../../src/wire/ethernet.js";
import { formatIp } from "../../../src/wire/ip-address.js";
import { ethernet, frame4, frame6, ip, join, MAC_A, mac, tagged, vxlanHeader } from "./frames.js";
import { HOST_A, HOST_B, HOST_C, MemoryHost, VNI, type VxlanOptions } from "./memory-host.js";

const ROUTER = "02:00:00:00:00:f0";
const NEXT = "02:00:00:00:00:0e";
const TO_NEXT = { destination: "192.168.11.10" };

/** A router behind HOST_B, a neighbour behind HOST_C. */
function hostWith(options: VxlanOptions = { rsc: true }, routerFlags = FDB_ROUTER) {
  const host = new MemoryHost(new MemoryNetwork(), HOST_A);
  const side = host.vxlan(options);
  const { fdb, neigh } = side.tunnel;
  const add = (text: string, address: string, flags: number) => {
    const { hi, lo } = mac(text);
    fdb.add(hi, lo, host.remote(0, address), FDB_PERMANENT | flags, 0);
  };
  add(ROUTER, HOST_B, routerFlags);
  add(NEXT, HOST_C, 0);
  const know = (address: string, text: string) => {
    const { w0, w1, w2, w3 } = ip(address);
    neigh.add({ address: [w0, w1, w2, w3], ...mac(text), flags: NEIGH_PERMANENT });
  };
  know("192.168.11.10", NEXT);
  know("fd00::11", NEXT);
  /** Sends a frame. @returns where it went, and what */
  const send = (frame: Uint8Array) => {
    host.network.sent.length = 0;
    host.send(side.device, frame);
    const [sent] = host.network.sent;
    if (sent === undefined) return undefined;
    const { w0, w1, w2, w3 } = sent.destination;
    return { to: formatIp(w0, w1, w2, w3), bytes: sent.bytes };
  };
  return { host, know, send, ...side };
}

const datagram = (frame: Uint8Array) => join(vxlanHeader(VNI), frame);

describe("a frame for a router", () => {
  it("goes to the neighbour with the router's MAC as source, TTL and all else as it was", () => {
    const { host, send } = hostWith();
    for (const make of [frame4, frame6]) {
      expect(send(make({ ttl: 9 }, ROUTER, MAC_A))).toEqual({
        ...{ to: HOST_C, bytes: datagram(make({ ttl: 9 }, NEXT, ROUTER)) },
      });
    }
    expect(host.counts(0)).toMatchObject({ shortCircuits: 2, egressPackets: 2 });
  });

  it("goes on to the router when the neighbour is not known: counted, and an l3miss", () => {
    const { host, send } = hostWith();
    const frame = frame4({ destination: "192.168.11.99" }, ROUTER, MAC_A);
    expect(send(frame)).toEqual({ to: HOST_B, bytes: datagram(frame) });
    expect(host.counts(0)).toMatchObject({ egressPackets: 1, "rsc-miss": 1 });
    expect(host.counts(0).shortCircuits).toBeUndefined();
  });

  it("stays as it is when the neighbour is the router itself", () => {
    const { know, send, host } = hostWith();
    know("192.168.11.1", ROUTER);
    const frame = frame4({ destination: "192.168.11.1" }, ROUTER, MAC_A);
    expect(send(frame)).toEqual({ to: HOST_B, bytes: datagram(frame) });
    expect(host.counts(0)).toEqual({ egressPackets: 1, egressBytes: frame.length });
  });

  it("is flooded when the FDB does not know the neighbour's MAC", () => {
    const { host, know, send, tunnel } = hostWith();
    know("192.168.11.12", "02:00:00:00:00:99");
    const frame = frame4({ destination: "192.168.11.12" }, ROUTER, MAC_A);
    expect(send(frame)).toBeUndefined();
    expect(host.counts(0)).toMatchObject({ l2miss: 1, shortCircuits: 1 });
    tunnel.flood.append(host.remote(0, "10.57.4.30"));
    expect(send(frame)?.to).toBe("10.57.4.30");
  });

  it.each([
    ["that is tagged", tagged(frame4(TO_NEXT, ROUTER, MAC_A), 7)],
    ["that is not IP", ethernet(ROUTER, MAC_A, ETHERTYPE_ARP, new Uint8Array(28))],
  ])("%s is left alone", (_, frame) => {
    expect(hostWith().send(frame)).toEqual({ to: HOST_B, bytes: datagram(frame) });
  });
});

describe("nothing is short-circuited", () => {
  const frame = frame4(TO_NEXT, ROUTER, MAC_A);

  it("without the router flag", () => {
    expect(hostWith({ rsc: true }, 0).send(frame)).toEqual({ to: HOST_B, bytes: datagram(frame) });
  });

  it("without rsc", () => {
    expect(hostWith({}).send(frame)).toEqual({ to: HOST_B, bytes: datagram(frame) });
  });
});
