// Properties of the wire codecs: parse(emit(x)) = x for every protocol, and no input makes a parser
// throw or read outside of its range.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkArp, emitArp, parseArp } from "../../src/wire/arp.js";
import { finish, sum, updateChecksum16 } from "../../src/wire/checksum.js";
import { emitEthernet, parseEthernet } from "../../src/wire/ethernet.js";
import { flowHash } from "../../src/wire/flow-hash.js";
import { emitFragmentationNeeded, emitIcmp, parseIcmp } from "../../src/wire/icmp.js";
import {
  emitNeighbourAdvertisement,
  emitNeighbourSolicitation,
  parseNeighbourAdvertisement,
  parseNeighbourSolicitation,
} from "../../src/wire/icmpv6.js";
import { emitPacketTooBig } from "../../src/wire/icmpv6-errors.js";
import {
  formatIp,
  formatPrefix,
  type IpAddress,
  isIpv4,
  maskIp,
  parseIp,
  parsePrefix,
} from "../../src/wire/ip-address.js";
import { emitIpv4, parseIpv4 } from "../../src/wire/ipv4.js";
import { emitIpv6, parseIpv6 } from "../../src/wire/ipv6.js";
import {
  LOCATE_COLUMNS,
  LOCATE_END,
  LOCATE_L3,
  LOCATE_L4,
  LOCATE_PAYLOAD,
  locateFrame,
  locatePacket,
} from "../../src/wire/locate.js";
import { formatMac, parseMac } from "../../src/wire/mac.js";
import { emitTcp, parseTcp } from "../../src/wire/tcp.js";
import { emitUdp, parseUdp } from "../../src/wire/udp.js";
import { emitVlan, parseVlan } from "../../src/wire/vlan.js";
import { emitVxlan, parseVxlan } from "../../src/wire/vxlan.js";
import { guarded } from "../unit/wire/support.js";
import { wireVector, wireVectorNames } from "../vectors/wire-vectors.js";

const u = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 });
const mac = fc.record({ hi: u(16), lo: u(32) });
const ip = fc.record({ w0: u(32), w1: u(32), w2: u(32), w3: u(32) });
const anyIp = fc.oneof(
  ip,
  u(32).map((w3): IpAddress => ({ w0: 0, w1: 0, w2: 0xffff, w3 })),
  // Many zero groups, for `::`.
  fc.record({ w0: u(4), w1: fc.constant(0), w2: u(17), w3: fc.constantFrom(0, 1, 0x10000) }),
);
const unicast = fc.record({ w0: u(31).map((w) => (w | 1) >>> 0), w1: u(32), w2: u(32), w3: u(32) });
const boolean = fc.boolean();

/** What comes back when `emit` wrote at `at` and `parse` reads exactly what it wrote. */
function roundTrip<T>(
  at: number,
  repr: T,
  emit: (repr: T, bytes: Uint8Array, at: number) => number,
  parse: (bytes: Uint8Array, at: number, end: number) => T | undefined,
  payload_bytes = 0,
): T | undefined {
  const bytes = new Uint8Array(256).fill(0xa5);
  const end = at + emit(repr, bytes, at) + payload_bytes;
  return parse(guarded(bytes, at, end), at, end);
}

describe("parse(emit(x)) = x", () => {
  const at = fc.integer({ min: 0, max: 5 });

  it("ethernet", () => {
    const repr = fc.record({ destination: mac, source: mac, etherType: u(16) });
    fc.assert(
      fc.property(at, repr, (p, x) => {
        expect(roundTrip(p, x, emitEthernet, parseEthernet)).toEqual(x);
      }),
    );
  });

  it("vlan", () => {
    const id = fc.integer({ min: 0, max: 0xffe });
    const repr = fc.record({ priority: u(3), dropEligible: boolean, id, etherType: u(16) });
    fc.assert(
      fc.property(at, repr, (p, x) => {
        expect(roundTrip(p, x, emitVlan, parseVlan)).toEqual(x);
      }),
    );
  });

  it("arp", () => {
    const repr = fc.record({
      operation: fc.constantFrom<1 | 2>(1, 2),
      senderMac: mac,
      senderIp: u(32),
      targetMac: mac,
      targetIp: u(32),
    });
    fc.assert(
      fc.property(at, repr, (p, x) => {
        expect(roundTrip(p, x, emitArp, parseArp)).toEqual(x);
      }),
    );
  });

  it("ipv4", () => {
    const repr = fc.record({
      tos: u(8),
      identification: u(16),
      dontFragment: boolean,
      moreFragments: boolean,
      fragmentOffset_bytes: u(13).map((units) => units * 8),
      ttl: u(8),
      protocol: u(8),
      source: u(32),
      destination: u(32),
      payload_bytes: u(7),
    });
    fc.assert(
      fc.property(at, repr, (p, x) => {
        expect(roundTrip(p, x, emitIpv4, parseIpv4, x.payload_bytes)).toEqual(x);
      }),
    );
  });

  it("ipv6", () => {
    const repr = fc.record({
      trafficClass: u(8),
      flowLabel: u(20),
      payload_bytes: u(7),
      nextHeader: u(8),
      hopLimit: u(8),
      source: ip,
      destination: ip,
    });
    fc.assert(
      fc.property(at, repr, (p, x) => {
        expect(roundTrip(p, x, emitIpv6, parseIpv6, x.payload_bytes)).toEqual(x);
      }),
    );
  });

  it("tcp", () => {
    const words = fc.integer({ min: 0, max: 10 });
    const repr = fc.record({
      sourcePort: u(16),
      destinationPort: u(16),
      sequence: u(32),
      acknowledgement: u(32),
      flags: u(8),
      window: u(16),
      urgent: u(16),
      options: words.chain((n) => fc.uint8Array({ minLength: 4 * n, maxLength: 4 * n })),
    });
    fc.assert(
      fc.property(at, repr, (p, x) => {
        expect(roundTrip(p, x, emitTcp, parseTcp)).toEqual(x);
      }),
    );
  });

  it("udp", () => {
    const repr = fc.record({ sourcePort: u(16), destinationPort: u(16), payload_bytes: u(7) });
    fc.assert(
      fc.property(at, repr, (p, x) => {
        expect(roundTrip(p, x, emitUdp, parseUdp, x.payload_bytes)).toEqual(x);
      }),
    );
  });

  it("vxlan", () => {
    fc.assert(
      fc.property(at, fc.record({ vni: u(24) }), (p, x) => {
        expect(roundTrip(p, x, emitVxlan, parseVxlan)).toEqual(x);
      }),
    );
  });

  it("icmp", () => {
    const data = fc.uint8Array({ maxLength: 99 });
    const repr = fc.record({ type: u(8), code: u(8), rest: u(32), data });
    fc.assert(
      fc.property(at, repr, (p, x) => {
        expect(roundTrip(p, x, emitIcmp, parseIcmp)).toEqual(x);
      }),
    );
  });

  it("neighbour solicitation and advertisement", () => {
    const addresses = { source: unicast, destination: unicast, target: unicast };
    const maybeMac = fc.option(mac, { nil: undefined });
    const solicitation = fc.record({ ...addresses, sourceMac: maybeMac });
    const flags = { router: boolean, solicited: boolean, override: boolean };
    const advertisement = fc.record({ ...addresses, targetMac: maybeMac, ...flags });
    fc.assert(
      fc.property(at, solicitation, advertisement, (p, ns, na) => {
        expect(roundTrip(p, ns, emitNeighbourSolicitation, parseNeighbourSolicitation)).toEqual(ns);
        expect(roundTrip(p, na, emitNeighbourAdvertisement, parseNeighbourAdvertisement)).toEqual(
          na,
        );
      }),
    );
  });

  it("addresses as text", () => {
    fc.assert(
      fc.property(anyIp, mac, (address, { hi, lo }) => {
        const { w0, w1, w2, w3 } = address;
        expect(parseIp(formatIp(w0, w1, w2, w3))).toEqual(address);
        expect(parseMac(formatMac(hi, lo))).toEqual({ hi, lo });
      }),
    );
  });

  it("prefixes as text, and masking keeps exactly the first bits", () => {
    const bitsOf = ({ w0, w1, w2, w3 }: IpAddress) =>
      [w0, w1, w2, w3].map((word) => word.toString(2).padStart(32, "0")).join("");
    fc.assert(
      fc.property(anyIp, u(7), (address, n) => {
        const family = isIpv4(address) ? 4 : 6;
        const length = family === 4 ? n % 33 : n;
        const prefix = { ip: address, length, family };
        expect(parsePrefix(formatPrefix({ ...prefix, family }))).toEqual(prefix);
        const kept = family === 4 ? 96 + length : length;
        const expected = bitsOf(address).slice(0, kept).padEnd(128, "0");
        expect(bitsOf(maskIp(address, length))).toBe(expected);
      }),
    );
  });
});

describe("checksums", () => {
  it("are complete: any range with its checksum appended sums to zero", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
        const even = new Uint8Array(data.length + (data.length & 1) + 2);
        even.set(data);
        const checksum = finish(sum(data, 0, data.length, 0));
        even.set([checksum >> 8, checksum & 0xff], even.length - 2);
        expect(finish(sum(even, 0, even.length, 0))).toBe(0);
      }),
    );
  });

  it("follow a changed field", () => {
    // The first word is not zero: an all-zero range is the one case where one's complement has two
    // zeros.
    const words = fc.array(u(16), { minLength: 2, maxLength: 20 }).map((rest) => [0x4500, ...rest]);
    fc.assert(
      fc.property(words, u(16), (old, field) => {
        const checksumOf = (list: number[]) => {
          const bytes = Uint8Array.from(list.flatMap((word) => [word >> 8, word & 0xff]));
          return finish(sum(bytes, 0, bytes.length, 0));
        };
        const changed = [...old.slice(0, -1), field];
        const updated = updateChecksum16(checksumOf(old), old.at(-1)!, field);
        expect(updated).toBe(checksumOf(changed));
      }),
    );
  });
});

describe("any bytes", () => {
  /**
   * Random bytes seldom look like a packet: real frames with a few bytes replaced, cut anywhere,
   * do.
   */
  const mutated = fc
    .tuple(
      fc.constantFrom(...wireVectorNames.filter((name) => !name.includes("1500"))),
      fc.array(fc.tuple(fc.integer({ min: 12, max: 90 }), u(8)), { maxLength: 4 }),
      u(7),
    )
    .map(([name, changes, length]) => {
      const { bytes } = wireVector(name);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return bytes.slice(0, Math.max(0, bytes.length - (length > 60 ? 0 : length)));
    });
  const input = fc.oneof({ weight: 4, arbitrary: mutated }, fc.uint8Array({ maxLength: 120 }));
  const out = new Int32Array(LOCATE_COLUMNS);

  it("locate in order, within the range, and without throwing", () => {
    fc.assert(
      fc.property(input, boolean, (bytes, bare) => {
        const at = bare ? Math.min(14, bytes.length) : 0;
        const view = guarded(bytes, at, bytes.length);
        const locate = bare ? locatePacket : locateFrame;
        const result = locate(view, at, bytes.length, out);
        const layers = [LOCATE_L3, LOCATE_L4, LOCATE_PAYLOAD].map((column) => out[column]);
        const ordered = [...layers.filter((offset) => offset >= 0), out[LOCATE_END]];
        expect(ordered).toEqual([...ordered].sort((a, b) => a - b));
        expect(out[LOCATE_END]).toBeLessThanOrEqual(bytes.length);
        expect(result).toBeGreaterThanOrEqual(-7);
        expect(result).toBeLessThanOrEqual(0);
        const hash = result === 0 ? flowHash(view, at, out) : 0;
        expect(hash).toBe(hash >>> 0);
      }),
      { numRuns: 1500 },
    );
  });

  it("never make a parser or an answer read outside", () => {
    const parsers = [
      parseEthernet,
      parseVlan,
      parseArp,
      parseIpv4,
      parseIpv6,
      parseTcp,
      parseUdp,
      parseVxlan,
      parseIcmp,
      parseNeighbourSolicitation,
      parseNeighbourAdvertisement,
    ];
    const answer = new Uint8Array(2048);
    const source = { w0: 0xfd000000, w1: 0, w2: 0, w3: 1 };
    fc.assert(
      fc.property(input, (bytes) => {
        const at = Math.min(14, bytes.length);
        const end = bytes.length;
        const view = guarded(bytes, at, end);
        for (const parse of parsers) parse(view, at, end);
        expect(checkArp(view, at, end)).toBe(checkArp(bytes, at, end));
        expect(emitFragmentationNeeded(view, at, end, 1, 1400, answer, 0)).toBeLessThanOrEqual(576);
        expect(emitPacketTooBig(view, at, end, source, 1400, answer, 0)).toBeLessThanOrEqual(1280);
      }),
      { numRuns: 1000 },
    );
  });
});
