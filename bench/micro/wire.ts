// Wire codecs: locating headers, flow hashes, the headers that are read or written per packet. The
// ones that make objects (parse..., emit...) are for control and rare packets; they stand here to
// show what they would cost.

import { arpSenderIp, checkArp, emitArp, parseArp } from "../../src/wire/arp.js";
import { ETHERNET_HEADER_BYTES } from "../../src/wire/ethernet.js";
import { flowHash } from "../../src/wire/flow-hash.js";
import {
  checkIpv4,
  emitIpv4,
  IPV4_HEADER_BYTES,
  ipv4ChecksumValid,
  parseIpv4,
  writeIpv4Checksum,
  writeIpv4Header,
} from "../../src/wire/ipv4.js";
import { checkIpv6, emitIpv6, parseIpv6 } from "../../src/wire/ipv6.js";
import { LOCATE_COLUMNS, LOCATE_PAYLOAD, locateFrame } from "../../src/wire/locate.js";
import { vxlanVni, writeVxlan } from "../../src/wire/vxlan.js";
import { destinationMac, sourceMac, TILES, type Tiles, tile } from "./frames.js";
import { type Case, type Family, measureCases } from "./harness.js";

const LAST = TILES - 1;
const FRAMES = [
  { version: 4, protocol: "udp", payload_bytes: 64 },
  { version: 4, protocol: "tcp", payload_bytes: 64 },
  { version: 6, protocol: "tcp", payload_bytes: 64 },
] as const;

function locate({ arena, stride, frame_bytes }: Tiles): Case["run"] {
  const located = new Int32Array(LOCATE_COLUMNS);
  return (count) => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * stride;
      kept ^= locateFrame(arena, at, at + frame_bytes, located) + located[LOCATE_PAYLOAD];
    }
    return kept;
  };
}

function locateAndHash({ arena, stride, frame_bytes }: Tiles): Case["run"] {
  const located = new Int32Array(LOCATE_COLUMNS);
  return (count) => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * stride;
      if (locateFrame(arena, at, at + frame_bytes, located) === 0) {
        kept ^= flowHash(arena, at, located);
      }
    }
    return kept;
  };
}

function* frameCases(): Generator<Case> {
  for (const spec of FRAMES) {
    const kind = `IPv${spec.version} ${spec.protocol.toUpperCase()}`;
    yield { name: `locateFrame, ${kind}`, run: locate(tile(spec)) };
    yield { name: `locateFrame and flowHash, ${kind}`, run: locateAndHash(tile(spec)) };
  }
}

function vxlanCase(): Case {
  const { arena, stride } = tile(FRAMES[0]);
  const run = (count: number): number => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * stride;
      writeVxlan(arena, at, i & 0xffffff);
      kept ^= vxlanVni(arena, at);
    }
    return kept;
  };
  return { name: "writeVxlan and vxlanVni", run };
}

function* ipv4Cases(): Generator<Case> {
  const { arena, stride, frame_bytes } = tile(FRAMES[0], ETHERNET_HEADER_BYTES);
  const check = (count: number): number => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * stride;
      if (checkIpv4(arena, at, at + frame_bytes) && ipv4ChecksumValid(arena, at)) kept++;
    }
    return kept;
  };
  yield { name: "IPv4 header: check with checksum", run: check };
  const out = new Uint8Array(TILES * IPV4_HEADER_BYTES);
  const write = (count: number): number => {
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * IPV4_HEADER_BYTES;
      writeIpv4Header(out, at, 0, i & 0x3ff, true, 64, 4, 0xc0a80001, 0xc0a90000 | (i & 0xff));
      writeIpv4Checksum(out, at);
    }
    return out[0]!;
  };
  yield { name: "IPv4 header: write with checksum", run: write };
  const parseEmit = (count: number): number => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * stride;
      const repr = parseIpv4(arena, at, at + frame_bytes);
      if (repr !== undefined) kept += emitIpv4(repr, out, (i & LAST) * IPV4_HEADER_BYTES);
    }
    return kept;
  };
  yield { name: "IPv4 header: parse to an object and emit", run: parseEmit };
}

function* ipv6Cases(): Generator<Case> {
  const { arena, stride, frame_bytes } = tile(FRAMES[2], ETHERNET_HEADER_BYTES);
  const check = (count: number): number => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * stride;
      if (checkIpv6(arena, at, at + frame_bytes)) kept++;
    }
    return kept;
  };
  yield { name: "IPv6 header: check", run: check };
  const out = new Uint8Array(64);
  const parseEmit = (count: number): number => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * stride;
      const repr = parseIpv6(arena, at, at + frame_bytes);
      if (repr !== undefined) kept += emitIpv6(repr, out, i & 15);
    }
    return kept;
  };
  yield { name: "IPv6 header: parse to an object and emit", run: parseEmit };
}

function* arpCases(): Generator<Case> {
  const arena = new Uint8Array(TILES * 32);
  const emit = (count: number): number => {
    for (let i = 0; i < count; i++) {
      const macs = { senderMac: sourceMac(i & LAST), targetMac: destinationMac(i & LAST) };
      const ips = { senderIp: 0xc0a80000 | (i & 0xff), targetIp: 0xc0a90001 };
      emitArp({ operation: 1, ...macs, ...ips }, arena, (i & LAST) * 32);
    }
    return arena[0]!;
  };
  yield { name: "ARP: emit", run: emit };
  const check = (count: number): number => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * 32;
      if (checkArp(arena, at, at + 32)) kept ^= arpSenderIp(arena, at);
    }
    return kept;
  };
  yield { name: "ARP: check and read an address", run: check };
  const parse = (count: number): number => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const at = (i & LAST) * 32;
      kept ^= parseArp(arena, at, at + 32)?.senderMac.lo ?? 0;
    }
    return kept;
  };
  yield { name: "ARP: parse to an object", run: parse };
}

function* cases(): Generator<Case> {
  yield* frameCases();
  yield vxlanCase();
  yield* ipv4Cases();
  yield* ipv6Cases();
  yield* arpCases();
}

export const family: Family = {
  about: "headers of one frame, ns",
  measure: (report) => measureCases(cases(), report),
};
