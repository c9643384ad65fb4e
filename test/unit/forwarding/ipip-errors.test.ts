// ICMP errors from inside an IPIP tunnel, of both outer families and about both inner ones: what
// the inner sender is told, what is remembered of the remote, and what is not believed.

import { describe, expect, it } from "vitest";
import { QUOTE_BYTES } from "#abi";
import { UNREACHABLE_ANSWERS_PER_S } from "../../../src/forwarding/inner-errors.js";
import { LOOKED_UP_PER_S } from "../../../src/forwarding/path-errors.js";
import {
  HOST_UNREACHABLE,
  NET_UNREACHABLE,
  PORT_UNREACHABLE,
  TTL_EXCEEDED,
} from "../../../src/remotes/unreachable-rows.js";
import { ON_LINK } from "../../../src/routes/route-table.js";
import { monotonicSeconds } from "../../../src/shared-memory/clock.js";
import {
  answerOf,
  EMSGSIZE,
  errorFixture,
  HEADER_BYTES,
  INNER,
  NOW_S,
  type Report,
  UNDERLAYS,
} from "./error-queue.js";
import { ip, ipv4Udp, ipv6Udp } from "./frames.js";

const PAIRS = [
  [4, 4],
  [4, 6],
  [6, 4],
  [6, 6],
] as const;
const ENDS = { 4: ["192.168.10.10", "192.168.11.10"], 6: ["fd00::10", "fd00::11"] } as const;

describe.each(PAIRS)("outer IPv%i, inner IPv%i", (family, inner) => {
  const unreachable = family === 4 ? 3 : 1;
  const expired = family === 4 ? 11 : 3;
  const hostUnreachable = inner === 4 ? "3/1" : "1/3";

  it("tells the inner sender, with the packet's own destination as source", () => {
    const {
      drain,
      device,
      quote,
      packet,
      row,
      unreachable: rows,
      state,
    } = errorFixture(family, inner);
    expect(drain([{ quote: quote() }])).toBe(1);
    const [source, destination] = ENDS[inner];
    expect(device.written.map(answerOf)).toEqual([
      {
        ...{ kind: hostUnreachable, mtu_bytes: 0, data: packet },
        ...{ from: ip(destination).w3, to: ip(source).w3 },
      },
    ]);
    expect(rows.get(row, NOW_S)).toMatchObject({ kind: HOST_UNREACHABLE, count: 1 });
    expect(rows.isOwed(row)).toBe(false);
    expect(state().ours).toEqual({ told: 1, lost: 1, ignored: 0 });
  });

  it("tells of every type and code what the table says, and nothing of others", () => {
    const told: Record<string, string> = {};
    for (let type = 0; type < 16; type++) {
      for (let code = 0; code < 20; code++) {
        const { drain, device, quote } = errorFixture(family, inner);
        drain([{ quote: quote(), type, code }]);
        for (const bytes of device.written) told[`${type}/${code}`] = answerOf(bytes).kind;
      }
    }
    const host = (...codes: number[]) => codes.map((code) => [`${unreachable}/${code}`, "host"]);
    const net = (...codes: number[]) => codes.map((code) => [`${unreachable}/${code}`, "net"]);
    const expected =
      family === 4
        ? [...host(1, 2, 7, 8, 9, 10, 12, 13, 14, 15), ...net(0, 6, 11), [`${expired}/0`, "host"]]
        : [...host(0, 1, 2, 3, 5, 6), [`${expired}/0`, "host"], ["4/1", "host"]];
    const words = inner === 4 ? { host: "3/1", net: "3/0" } : { host: "1/3", net: "1/3" };
    const entries = expected.map(([key, word]) => [key, words[word as "host" | "net"]]);
    expect(told).toEqual(Object.fromEntries(entries));
  });

  it("remembers a port unreachable, and tells nobody", () => {
    const { drain, device, quote, row, unreachable: rows } = errorFixture(family, inner);
    drain([{ quote: quote(), code: family === 4 ? 3 : 4 }]);
    expect(device.written).toEqual([]);
    expect(rows.get(row, NOW_S)?.kind).toBe(PORT_UNREACHABLE);
    expect(rows.isOwed(row)).toBe(false);
  });

  it("says time exceeded where the outer TTL is the inner one, and blames nobody", () => {
    const parts = errorFixture(family, inner, { ttl: 0 });
    const { drain, device, quote, row, unreachable: rows, state } = parts;
    drain([{ quote: quote(), type: expired, code: 0 }]);
    expect(device.written.map((bytes) => answerOf(bytes).kind)).toEqual([
      inner === 4 ? "11/0" : "3/0",
    ]);
    expect(rows.get(row, NOW_S)).toBeUndefined();
    expect(state().ours).toEqual({ told: 1, lost: 0, ignored: 0 });
  });

  it("remembers that the outer TTL was too small", () => {
    const { drain, quote, row, unreachable: rows } = errorFixture(family, inner);
    drain([{ quote: quote(), type: expired, code: 0 }]);
    expect(rows.get(row, NOW_S)?.kind).toBe(TTL_EXCEEDED);
  });

  it("takes quotes of every length, and owes what it cannot tell", () => {
    const header_bytes = HEADER_BYTES[family];
    const enough_bytes = header_bytes + HEADER_BYTES[inner] + 8;
    const whole = errorFixture(family, inner).quote();
    for (let length = 0; length <= whole.length; length++) {
      const { drain, device, row, unreachable: rows, state } = errorFixture(family, inner);
      drain([{ quote: whole.slice(0, length) }]);
      const { ours, stray } = state();
      const ignored = Number(length < header_bytes);
      expect([stray.ignored, ours.lost]).toEqual([ignored, 1 - ignored]);
      expect(device.written).toHaveLength(Number(length >= enough_bytes));
      expect(rows.isOwed(row)).toBe(length >= header_bytes && length < enough_bytes);
      for (const bytes of device.written) {
        expect(answerOf(bytes).data).toEqual(whole.slice(header_bytes, length));
      }
    }
  });

  it("pays with the next packet, once", () => {
    const { drain, device, quote, packet, row, answers } = errorFixture(family, inner);
    const next = INNER[inner](100);
    answers.tellIfOwed(row, next, 0, next.length);
    drain([{ quote: quote(packet.slice(0, 8)) }], monotonicSeconds());
    answers.tellIfOwed(ON_LINK, next, 0, next.length);
    expect(device.written).toEqual([]);
    for (let n = 0; n < 2; n++) answers.tellIfOwed(row, next, 0, next.length);
    expect(device.written.map(answerOf)).toMatchObject([{ kind: hostUnreachable, data: next }]);
  });

  it("remembers a path that is too small, and tells senders of longer packets", () => {
    const path_bytes = 1400;
    const parts = errorFixture(family, inner, { path_bytes });
    const { drain, device, quote, remotes, row, rowOfOther, state } = parts;
    const fits_bytes = path_bytes - HEADER_BYTES[family] - HEADER_BYTES[inner] - 8;
    const report = (payload_bytes: number): Report => ({
      ...{ quote: quote(INNER[inner](payload_bytes)), errno: EMSGSIZE },
      ...{ type: family === 4 ? 3 : 2, code: family === 4 ? 4 : 0 },
    });
    drain([report(fits_bytes)]);
    expect(device.written).toEqual([]);
    drain([report(fits_bytes + 1)]);
    const answer = answerOf(device.written[0]!);
    expect(answer).toMatchObject({
      ...{ kind: inner === 4 ? "3/4" : "2/0", mtu_bytes: path_bytes - HEADER_BYTES[family] },
    });
    // As much as there is, and as ICMP has room for.
    const quoted_bytes = QUOTE_BYTES - HEADER_BYTES[family];
    expect(answer.data).toHaveLength(inner === 4 ? Math.min(548, quoted_bytes) : quoted_bytes);
    expect([remotes.pathMtu(row), remotes.pathMtu(rowOfOther)]).toEqual([1400, 1400]);
    expect(state().ours).toEqual({ told: 1, lost: 0, ignored: 0 });
    // This host refused it: sending failed, and egress has told.
    drain([{ ...report(fits_bytes + 1), from: UNDERLAYS[family].us }]);
    expect(device.written).toHaveLength(1);
  });

  it.each([-101, 0])("learns nothing where the kernel says %i of the path", (path_bytes) => {
    const { drain, device, quote, remotes, row } = errorFixture(family, inner, { path_bytes });
    drain([{ quote: quote(INNER[inner](1400)), errno: EMSGSIZE }]);
    expect(device.written).toEqual([]);
    expect(remotes.pathMtu(row)).toBe(0);
  });

  it("believes nothing that is not about a packet of ours", () => {
    const { us, peer, other } = UNDERLAYS[family];
    const parts = errorFixture(family, inner, { path_bytes: 1400 });
    const { drain, device, quote, packet, remotes, row, unreachable: rows, state } = parts;
    const forged = [
      quote(packet, { from: other }),
      quote(packet, { protocol: 17 }),
      Uint8Array.of(family === 4 ? 0x65 : 0x45, ...quote().slice(1)),
    ];
    drain(forged.map((bytes) => ({ quote: bytes })));
    drain(forged.map((bytes) => ({ quote: bytes, errno: EMSGSIZE })));
    expect(state().stray.ignored).toBe(6);
    for (const to of [other, us]) drain([{ quote: quote(packet, { to }), about: to }]);
    expect(state().ours).toEqual({ told: 0, lost: 0, ignored: 2 });
    expect(device.written).toEqual([]);
    expect([remotes.pathMtu(row), rows.get(row, NOW_S)]).toEqual([0, undefined]);
    drain([{ quote: quote(packet, { to: peer }) }]);
    expect(device.written).toHaveLength(1);
  });

  it("says nothing about later fragments, and owes nothing", () => {
    const parts = errorFixture(family, inner, { path_bytes: 1400 });
    const { drain, device, quote, row, unreachable: rows, remotes } = parts;
    const fragment = { quote: quote(INNER[inner](), { offset: 1480 }) };
    drain([fragment, { ...fragment, errno: EMSGSIZE }]);
    expect(device.written).toEqual([]);
    expect(rows.get(row, NOW_S)?.kind).toBe(HOST_UNREACHABLE);
    expect(rows.isOwed(row)).toBe(false);
    expect(remotes.pathMtu(row)).toBe(1400);
  });

  it("tells nobody of a packet that the tunnel does not carry", () => {
    const carries = inner === 4 ? { carries4: false } : { carries6: false };
    const { drain, device, quote } = errorFixture(family, inner, { carries });
    drain([{ quote: quote() }]);
    expect(device.written).toEqual([]);
  });

  it("is that of a tunnel with any local address as well", () => {
    const { drain, device, quote } = errorFixture(family, inner, {
      ...{ wildcard: true, pointToPoint: true },
    });
    drain([{ quote: quote() }]);
    expect(device.written).toHaveLength(1);
  });
});

describe.each([4, 6] as const)("a route without next hop, IPv%i", (family) => {
  it("has its destinations as remotes", () => {
    const destination = ENDS[family][1];
    const { drain, device, quote, routes, state, packet } = errorFixture(family, family);
    const onLink = { quote: quote(packet, { to: destination }), about: destination };
    drain([onLink]);
    expect(state().ours).toEqual({ told: 0, lost: 0, ignored: 1 });
    const length = family === 4 ? 24 : 64;
    const prefix = { ip: ip(family === 4 ? "192.168.11.0" : "fd00::"), family, length };
    routes.set({ prefix, hops: [] });
    drain([onLink]);
    expect(device.written).toHaveLength(1);
    expect(state().ours).toEqual({ told: 1, lost: 1, ignored: 1 });
  });

  it("needs the inner destination in the quote", () => {
    const destination = ENDS[family][1];
    const { drain, quote, routes, state, packet } = errorFixture(family, family);
    const any = { ip: ip(family === 4 ? "0.0.0.0" : "::"), family, length: 0 };
    routes.set({ prefix: any, hops: [] });
    const short = quote(packet.slice(0, HEADER_BYTES[family] - 1), { to: destination });
    const another = quote(packet, { to: UNDERLAYS[family].other });
    drain([short, another].map((bytes) => ({ quote: bytes })));
    expect(state().ours).toEqual({ told: 0, lost: 0, ignored: 2 });
  });
});

describe("in one second", () => {
  it("so many errors are looked at", () => {
    const { drain, quote, state } = errorFixture(4, 4);
    for (let n = 0; n < LOOKED_UP_PER_S + 3; n++) drain([{ quote: quote() }]);
    expect([state().ours.lost, state().stray.ignored]).toEqual([LOOKED_UP_PER_S, 3]);
    drain([{ quote: quote() }], NOW_S + 1);
    expect(state().ours.lost).toBe(LOOKED_UP_PER_S + 1);
  });

  it("so many answers are sent", () => {
    const { answers, device, packet } = errorFixture(4, 4);
    const tell = (now_s: number) =>
      answers.unreachable(HOST_UNREACHABLE, packet, 0, packet.length, now_s);
    for (let n = 0; n < UNREACHABLE_ANSWERS_PER_S; n++) expect(tell(NOW_S)).toBe(true);
    expect(tell(NOW_S)).toBe(false);
    expect(tell(NOW_S + 1)).toBe(true);
    expect(device.written).toHaveLength(UNREACHABLE_ANSWERS_PER_S + 1);
  });
});

describe("an inner packet that must not be answered", () => {
  it.each([
    ["from a group", { source: "224.0.0.5" }],
    ["from nobody", { source: "0.0.0.0" }],
    ["to a group", { destination: "224.0.0.5" }],
    ["to everybody", { destination: "255.255.255.255" }],
  ])("%s is not", (_, addresses) => {
    const { drain, device, quote, row, unreachable } = errorFixture(4, 4);
    drain([{ quote: quote(ipv4Udp(addresses)) }]);
    expect(device.written).toEqual([]);
    expect(unreachable.get(row, NOW_S)).toBeDefined();
    expect(unreachable.isOwed(row)).toBe(false);
  });

  it("an ICMP error and a later fragment are not", () => {
    const { drain, device, quote, packet } = errorFixture(4, 4);
    const icmp = packet.slice();
    icmp[9] = 1;
    icmp[20] = 3;
    const fragment = packet.slice();
    fragment[7] = 1;
    drain([{ quote: quote(icmp) }, { quote: quote(fragment) }]);
    expect(device.written).toEqual([]);
  });

  it("is not told of a packet to a group, whose address could be no answer's source", () => {
    for (const inner of [4, 6] as const) {
      const { drain, device, quote } = errorFixture(4, inner, { path_bytes: 1400 });
      const toGroup = { payload_bytes: 1400, dontFragment: true };
      const packet =
        inner === 4
          ? ipv4Udp({ ...toGroup, destination: "239.1.2.3" })
          : ipv6Udp({ ...toGroup, destination: "ff05::2" });
      drain([{ quote: quote(packet) }, { quote: quote(packet), errno: EMSGSIZE }]);
      expect(device.written).toEqual([]);
    }
  });

  it("is not told that it is too big when it may be fragmented", () => {
    const { drain, device, quote } = errorFixture(4, 4, { path_bytes: 1400 });
    drain([{ quote: quote(ipv4Udp({ payload_bytes: 1400 })), errno: EMSGSIZE }]);
    expect(device.written).toEqual([]);
  });
});

describe("the network's word", () => {
  it("is passed on to IPv4 as such", () => {
    const { drain, device, quote, row, unreachable } = errorFixture(4, 4, { pointToPoint: true });
    drain([{ quote: quote(), code: 0 }]);
    expect(device.written.map((bytes) => answerOf(bytes).kind)).toEqual(["3/0"]);
    expect(unreachable.get(row, NOW_S)?.kind).toBe(NET_UNREACHABLE);
  });
});
