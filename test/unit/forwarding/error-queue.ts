// A raw socket's error queue in memory, for tests of IpipErrors: one tunnel of one outer family,
// reports with quotes of packets that it could have sent, and the answers that its device gets.

import { expect } from "vitest";
import {
  ERROR_ADDRESS,
  ERROR_CODE,
  ERROR_ERRNO,
  ERROR_FAMILY,
  ERROR_OFFENDER,
  ERROR_QUOTED,
  ERROR_TYPE,
  ERROR_WORDS,
  QUOTE_BYTES,
} from "#abi";
import { MemoryDevice } from "../../../src/device/memory-device.js";
import { InnerErrors } from "../../../src/forwarding/inner-errors.js";
import { IpipErrors } from "../../../src/forwarding/ipip-errors.js";
import type { IpipTunnel } from "../../../src/forwarding/ipip-tunnel.js";
import { SourcePolicy } from "../../../src/forwarding/source-policy.js";
import { TunnelLookup } from "../../../src/forwarding/tunnel-lookup.js";
import { RemoteTable } from "../../../src/remotes/remote-table.js";
import { UnreachableRows } from "../../../src/remotes/unreachable-rows.js";
import { RouteReader, RouteTable } from "../../../src/routes/route-table.js";
import { Counters, NO_TUNNEL, WorkerCounters } from "../../../src/telemetry/counters.js";
import { DropReasons } from "../../../src/telemetry/drop-reasons.js";
import { icmpNextHopMtu, parseIcmp } from "../../../src/wire/icmp.js";
import { icmpv6ChecksumValid, icmpv6Mtu } from "../../../src/wire/icmpv6.js";
import { parseIpv4 } from "../../../src/wire/ipv4.js";
import { readIpv6Address } from "../../../src/wire/ipv6.js";
import { ip, ipv4Udp, ipv6Udp, join } from "./frames.js";

export const EMSGSIZE = 90;
const EHOSTUNREACH = 113;
export const NOW_S = 1000;

/** One family of the underlay: who we are, whom we know, and who sends errors. */
export const UNDERLAYS = {
  4: { us: "10.57.4.20", peer: "10.57.4.21", router: "10.57.4.1", other: "10.57.4.99" },
  6: { us: "fd57::20", peer: "fd57::21", router: "fd57::1", other: "fd57::99" },
} as const;
export const HEADER_BYTES = { 4: 20, 6: 40 } as const;
const PROTOCOLS = { 4: 4, 6: 41 } as const;
export type Family = 4 | 6;

/** An inner packet: 28 or 48 bytes of headers, and payload. */
export const INNER = {
  4: (payload_bytes = 30) => ipv4Udp({ payload_bytes, dontFragment: true }),
  6: (payload_bytes = 30) => ipv6Udp({ payload_bytes }),
} as const;

/** An outer packet; the fields that the errors' reader looks at. */
function outer(
  family: Family,
  inner: Uint8Array,
  { from, to, protocol = 4, offset = 0 }: OuterFields,
): Uint8Array {
  const [source, destination] = [ip(from), ip(to)];
  const words = (address: typeof source) => [address.w0, address.w1, address.w2, address.w3];
  const header = new Uint8Array(HEADER_BYTES[family] + (family === 6 && offset > 0 ? 8 : 0));
  const view = new DataView(header.buffer);
  if (family === 4) {
    view.setUint16(0, 0x4500);
    view.setUint16(2, 20 + inner.length);
    view.setUint16(6, offset >> 3);
    header[8] = 64;
    header[9] = protocol;
    view.setUint32(12, source.w3);
    view.setUint32(16, destination.w3);
    return join(header, inner);
  }
  view.setUint16(0, 0x6000);
  view.setUint16(4, header.length - 40 + inner.length);
  header[6] = offset > 0 ? 44 : protocol;
  for (const [i, word] of [...words(source), ...words(destination)].entries()) {
    view.setUint32(8 + 4 * i, word);
  }
  if (offset === 0) return join(header, inner);
  header[40] = protocol;
  view.setUint16(42, offset);
  return join(header, inner);
}

interface OuterFields {
  from: string;
  to: string;
  protocol?: number;
  /** Of a later fragment, bytes. */
  offset?: number;
}

export interface Report {
  quote: Uint8Array;
  type?: number;
  code?: number;
  errno?: number;
  /** Outer destination as the socket says it, where it matters. */
  about?: string;
  from?: string;
}

interface Options {
  /** A tunnel of this socket's address, or of every one. */
  wildcard?: boolean;
  pointToPoint?: boolean;
  ttl?: number;
  path_bytes?: number;
  carries?: Partial<Pick<IpipTunnel, "carries4" | "carries6">>;
}

/** A socket of one outer family that takes packets of one inner family, with one tunnel. */
export function errorFixture(family: Family, inner: Family, options: Options = {}) {
  const { us, peer, router } = UNDERLAYS[family];
  const protocol = PROTOCOLS[inner];
  const remotes = RemoteTable.create({ maxTunnels: 2, maxRemotes: 16 });
  const counters = Counters.create({ workers: 1, maxTunnels: 2, maxRemotes: 16 });
  const worker = new WorkerCounters(counters.sharedState(), 0);
  const acquire = (tunnel: number): number => {
    const { w0, w1, w2, w3 } = ip(peer);
    return remotes.acquire(tunnel, w0, w1, w2, w3, 0, 0, 0);
  };
  const row = acquire(0);
  const rowOfOther = acquire(1);
  const routes = new RouteTable(16);
  const device = new MemoryDevice(0, "tun");
  const any = family === 4 ? "0.0.0.0" : "::";
  const tunnel: IpipTunnel = {
    ...{ index: 0, family, local: ip(options.wildcard ? any : us), device },
    remote: options.pointToPoint ? ip(peer) : undefined,
    remoteRow: options.pointToPoint ? row : -1,
    ...{ carries4: true, carries6: true, ttl: options.ttl ?? 64, tos: 0, pmtudisc: true },
    ...{ mtu_bytes: 1480, underlayMtu_bytes: 1500, ...options.carries },
    sources: new SourcePolicy(0, "known", remotes),
    routes: new RouteReader(routes.sharedState()),
  };
  const unreachable = UnreachableRows.create(remotes.rows, 16);
  const answers = new InnerErrors(tunnel, unreachable, worker);
  const parts = {
    ...{ family, protocol, tunnels: new TunnelLookup([tunnel]), remotes, unreachable },
    ...{ answers: new Map([[0, answers]]), counters: worker },
  };
  const errors = new IpipErrors(parts);
  const drain = (reports: readonly Report[], now_s = NOW_S): number =>
    errors.drain(
      {
        fd: -1,
        take: (rows, quotes) => fill(rows, quotes, family, reports, { peer, router }),
        pathMtu_bytes: () => options.path_bytes ?? -1,
      },
      now_s,
    );
  const packet = INNER[inner]();
  const quote = (bytes = packet, more: Partial<OuterFields> = {}): Uint8Array =>
    outer(family, bytes, { from: us, to: peer, protocol, ...more });
  const counts = (of: number) => {
    const { fields, drops } = counters.tunnel(of);
    const [told, lost] = [fields.icmpErrors, drops[DropReasons.peerUnreachable.id]];
    return { told, lost, ignored: drops[DropReasons.icmpIgnored.id] };
  };
  const state = () => ({ ours: counts(0), stray: counts(NO_TUNNEL) });
  return {
    ...{ remotes, row, rowOfOther, routes, device, unreachable, answers, parts, errors },
    ...{ drain, packet, quote, state },
  };
}

function fill(
  rows: Int32Array,
  quotes: Uint8Array,
  family: Family,
  reports: readonly Report[],
  { peer, router }: { peer: string; router: string },
): number {
  for (const [n, report] of reports.entries()) {
    const at = n * ERROR_WORDS;
    const set = (column: number, text: string) => {
      const { w0, w1, w2, w3 } = ip(text);
      rows.set([w0, w1, w2, w3], at + column);
    };
    set(ERROR_ADDRESS, report.about ?? peer);
    set(ERROR_OFFENDER, report.from ?? router);
    rows[at + ERROR_ERRNO] = report.errno ?? EHOSTUNREACH;
    rows[at + ERROR_TYPE] = report.type ?? (family === 4 ? 3 : 1);
    rows[at + ERROR_CODE] = report.code ?? (family === 4 ? 1 : 3);
    rows[at + ERROR_FAMILY] = family;
    const quoted = report.quote.subarray(0, QUOTE_BYTES);
    rows[at + ERROR_QUOTED] = quoted.length;
    // What lies behind a quote was another's.
    quotes.fill(0x45, n * QUOTE_BYTES, (n + 1) * QUOTE_BYTES);
    quotes.set(quoted, n * QUOTE_BYTES);
  }
  return reports.length;
}

/** An answer that the device got: "type/code", whom it is from and to, its MTU, what it quotes. */
export function answerOf(bytes: Uint8Array) {
  if (bytes[0]! >>> 4 === 4) {
    const header = parseIpv4(bytes, 0, bytes.length)!;
    const { type, code, data } = parseIcmp(bytes, 20, bytes.length)!;
    const mtu_bytes = icmpNextHopMtu(bytes, 20);
    return {
      kind: `${type}/${code}`,
      from: header.source,
      to: header.destination,
      mtu_bytes,
      data,
    };
  }
  expect(icmpv6ChecksumValid(bytes, 0, 40, bytes.length)).toBe(true);
  const from = readIpv6Address(bytes, 8).w3;
  const to = readIpv6Address(bytes, 24).w3;
  const kind = `${bytes[40]}/${bytes[41]}`;
  return { kind, from, to, mtu_bytes: icmpv6Mtu(bytes, 40), data: bytes.slice(48) };
}
