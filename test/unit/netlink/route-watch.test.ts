// Routes as a Linux 6.18 kernel sent them, and the order of dumps and notifications in one queue.
import { describe, expect, it } from "vitest";
import { type RouteMessage, readRoute } from "../../../src/netlink/route-messages.js";
import { type RouteListener, RouteWatch } from "../../../src/netlink/route-watch.js";
import { bytesOf, message } from "./scripted-transport.js";

// Device 3: the kernel's own route, a multipath route of two hops, an onlink one with metric and
// source.
const [direct, multipath, onlink] = [
  "021800 00fe02fd0100000000 08000f00fe000000 080001000a390400 080007000a390414 0800040003000000",
  "02180000fe03000100000000 08000f00fe000000 08000100c0a81400 24000900 1000000003000000" +
    "080005000a39041f 1000000103000000 080005000a390420",
  "02180000fe04000104000000 08000f00fe000000 08000100c0a81e00 0800060032000000 080007000a390414" +
    "08000500ac100001 0800040003000000",
].map((hex) => bytesOf(hex)) as [Uint8Array, Uint8Array, Uint8Array];
// `ip route add 192.168.12.0/24 via inet6 fd57::21 dev 3 onlink`: family and address in RTA_VIA.
const viaIpv6 = bytesOf(
  "02180000fe03000104000000 08000f00fe000000 08000100c0a80c00 0800040003000000",
  "16001200 0a00 fd570000000000000000000000000021 0000",
);

const v4 = (a: number, b: number, c: number, d: number) => [
  0,
  0,
  0xffff,
  ((a << 24) | (b << 16) | (c << 8) | d) >>> 0,
];

const SOURCE = v4(10, 57, 4, 20);

describe("a route", () => {
  const common = { family: 4, tos: 0, table: 254, metric: 0, scope: 0, nexthopObject: false };
  const hop = { ifindex: 3, weight: 1, dead: false, onlink: false, gateway: undefined };

  it("is read in every form", () => {
    expect(readRoute(direct)).toEqual({
      ...{ ...common, destination: v4(10, 57, 4, 0), prefixLength: 24, protocol: 2, scope: 253 },
      ...{ source: SOURCE, hops: [hop] },
    });
    expect(readRoute(multipath)).toEqual({
      ...{ ...common, destination: v4(192, 168, 20, 0), prefixLength: 24, protocol: 3 },
      source: undefined,
      hops: [
        { ...hop, gateway: v4(10, 57, 4, 31) },
        { ...hop, gateway: v4(10, 57, 4, 32), weight: 2 },
      ],
    });
    expect(readRoute(onlink)).toMatchObject({
      ...{ metric: 50, protocol: 4, source: SOURCE },
      hops: [{ ...hop, gateway: v4(172, 16, 0, 1), onlink: true }],
    });
    expect(readRoute(viaIpv6)).toMatchObject({
      hops: [{ gateway: [0xfd570000, 0, 0, 0x21], onlink: true }],
    });
  });

  it("is none where it delivers to no other host, is the kernel's copy, or looks at the source", () => {
    const changed = (at: number, value: number) => {
      const copy = direct.slice();
      copy[at] = value;
      return readRoute(copy);
    };
    expect(changed(7, 2)).toBeUndefined();
    expect(changed(7, 6)).toBeUndefined();
    expect(changed(9, 2)).toBeUndefined();
    expect(changed(2, 24)).toBeUndefined();
    expect(changed(16, 255)).toBeUndefined();
    expect(changed(0, 7)).toBeUndefined();
  });

  it("that is cut is read or refused, and so is a next hop whose length cannot be", () => {
    const malformed = expect.objectContaining({ code: "CULVERT_NETLINK_MALFORMED" });
    for (const route of [direct, multipath, viaIpv6]) {
      let refused = 0;
      for (let length = 0; length < route.length; length++) {
        try {
          readRoute(route.slice(0, length));
        } catch (error) {
          refused++;
          expect(error).toEqual(malformed);
        }
      }
      expect(refused).toBeGreaterThan(route.length / 2);
    }
    for (const length of [0, 7, 0x40]) {
      const broken = multipath.slice();
      broken[32] = length;
      expect(() => readRoute(broken)).toThrow(malformed);
    }
  });
});

const MULTI = 0x2;
const done = (errno = 0) => {
  const payload = Buffer.alloc(4);
  payload.writeInt32LE(-errno);
  return { type: 3, flags: MULTI, payload: Uint8Array.from(payload) };
};

/** A watch, what it tells as text, and a way to give it datagrams. */
function watchFixture() {
  const told: string[] = [];
  const sent: Uint8Array[] = [];
  let readable = () => {};
  let next: { bytes: Uint8Array; overrun: boolean } | Error;
  const name = ({ destination, prefixLength }: RouteMessage) => {
    return `${[24, 16, 8, 0].map((shift) => (destination[3] >>> shift) & 255).join(".")}/${prefixLength}`;
  };
  const listener: RouteListener = {
    changed: (change, route) => told.push(`${change} ${name(route)}`),
    dumped: (route) => told.push(`dumped ${name(route)}`),
    dumpStarted: () => told.push("started"),
    dumpEnded: (end) => told.push(`ended ${end}`),
    link: (ifindex, up) => told.push(`link ${ifindex} ${up}`),
    addressDeleted: (ifindex) => told.push(`address ${ifindex}`),
    otherChange: () => told.push("other"),
    nexthopDeleted: () => told.push("nexthop"),
    overrun: () => told.push("overrun"),
    failed: (error) => told.push(`failed ${(error as { code: string }).code}`),
    turnEnded: () => told.push("turn"),
  };
  const watch = new RouteWatch(listener, (callback) => {
    readable = callback;
    return {
      send: (bytes) => sent.push(bytes),
      drain: () => {
        if (next instanceof Error) throw next;
        return next;
      },
      close: () => told.push("closed"),
    };
  });
  type Sent = { type: number; flags: number; payload: Uint8Array; sequence?: number };
  const give = (messages: Sent[], overrun = false) => {
    const parts = messages.map(({ type, flags, payload, sequence = 0 }) =>
      message(type, flags, payload, sequence),
    );
    next = { bytes: Uint8Array.from(Buffer.concat(parts)), overrun };
    readable();
    return told.splice(0);
  };
  const fail = (error: Error) => {
    next = error;
    readable();
    return told.splice(0);
  };
  return { watch, sent, told, give, fail };
}

describe("a watch", () => {
  it("tells answers to its dump from notifications, also with the same number", () => {
    const { watch, sent, give } = watchFixture();
    watch.requestDump(3, 4);
    const sequence = Buffer.from(sent[0]!).readUInt32LE(8);
    expect(
      give([
        { type: 24, flags: 0x400, payload: onlink, sequence },
        { type: 24, flags: MULTI, payload: direct, sequence },
        { type: 24, flags: 0x100, payload: onlink },
        { type: 24, flags: 0x800, payload: onlink },
        { type: 25, flags: 0, payload: onlink },
        { ...done(), sequence },
        { type: 24, flags: 0x400, payload: onlink, sequence },
      ]),
    ).toEqual([
      ...["add 192.168.30.0/24", "started", "dumped 10.57.4.0/24", "replace 192.168.30.0/24"],
      ...["append 192.168.30.0/24", "delete 192.168.30.0/24", "ended complete"],
      ...["add 192.168.30.0/24", "turn"],
    ]);
  });

  it("says how a dump ended", () => {
    const { watch, sent, give } = watchFixture();
    const ends: string[] = [];
    const ENODEV = 19;
    for (const [flags, errno] of [
      ...[[MULTI, 0] as const, [MULTI | 0x10, 0] as const, [MULTI, 2] as const],
      ...[[MULTI, ENODEV] as const, [MULTI, 12] as const],
    ]) {
      watch.requestDump(3, 4);
      const sequence = Buffer.from(sent.at(-1)!).readUInt32LE(8);
      ends.push(give([{ ...done(errno), flags, sequence }])[1]!);
    }
    expect(ends).toEqual(
      ["complete", "interrupted", "complete", "no-device", "failed"].map((end) => `ended ${end}`),
    );
  });

  it("tells of links, addresses, nexthop objects, overruns and nonsense", () => {
    const { give, fail, watch, told } = watchFixture();
    const link = (flags: string) => bytesOf(`0000feff 07000000 ${flags} 00000000`);
    expect(
      give(
        [
          { type: 16, flags: 0, payload: link("01000000") },
          { type: 17, flags: 0, payload: link("01000000") },
          { type: 21, flags: 0, payload: bytesOf("02200000 07000000") },
          { type: 105, flags: 0, payload: new Uint8Array(8) },
        ],
        true,
      ),
    ).toEqual(["link 7 true", "link 7 false", "address 7", "nexthop", "overrun", "turn"]);
    const cut = { type: 24, flags: 0, payload: direct.slice(0, 9) };
    expect(give([cut])).toEqual(["failed CULVERT_NETLINK_MALFORMED", "turn"]);
    const broken = Object.assign(new Error("x"), { code: "CULVERT_NETLINK" });
    expect(fail(broken)).toEqual(["failed CULVERT_NETLINK", "turn"]);
    watch.close();
    expect(told).toEqual(["closed"]);
  });
});
