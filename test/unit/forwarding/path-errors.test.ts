// What ICMP errors make of remotes and counters.

import { describe, expect, it } from "vitest";
import {
  ERROR_ADDRESS,
  ERROR_CODE,
  ERROR_ERRNO,
  ERROR_FAMILY,
  ERROR_MTU,
  ERROR_OFFENDER,
  ERROR_PORT,
  ERROR_TYPE,
  ERROR_VNI,
  ERROR_WORDS,
} from "#abi";
import { LOOKED_UP_PER_S, PathErrors } from "../../../src/forwarding/path-errors.js";
import { RemoteTable } from "../../../src/remotes/remote-table.js";
import { PORT_UNREACHABLE, UnreachableRows } from "../../../src/remotes/unreachable-rows.js";
import { Counters, NO_TUNNEL, WorkerCounters } from "../../../src/telemetry/counters.js";
import { DropReasons } from "../../../src/telemetry/drop-reasons.js";
import type { UnderlayErrors } from "../../../src/underlay/underlay.js";
import { ip } from "./frames.js";

const EMSGSIZE = 90;
const ECONNREFUSED = 111;
const PEER = "192.168.57.21";

interface Report {
  errno: number;
  address?: string;
  port?: number;
  vni?: number;
}

/** Two tunnels with remotes at PEER: 4789/100 and 4789/101, 8472/100 in the second. */
function fixture() {
  const remotes = RemoteTable.create({ maxTunnels: 2, maxRemotes: 16 });
  const counters = Counters.create({ workers: 1, maxTunnels: 2, maxRemotes: 16 });
  remotes.defineTunnel(0, 4789, 100);
  remotes.defineTunnel(1, 4789, 101);
  const { w0, w1, w2, w3 } = ip(PEER);
  const acquire = (tunnel: number, port: number, vni: number) =>
    remotes.acquire(tunnel, w0, w1, w2, w3, port, vni, 0);
  const rows = [acquire(0, 4789, 100), acquire(1, 4789, 101), acquire(1, 8472, 100)];
  const other = ip("192.168.57.22");
  rows.push(remotes.acquire(0, other.w0, other.w1, other.w2, other.w3, 4789, 100, 0));
  const unreachableRows = UnreachableRows.create(remotes.rows, 16);
  const worker = new WorkerCounters(counters.sharedState(), 0);
  const errors = new PathErrors(remotes, unreachableRows, worker);
  const asked: number[] = [];
  const drain = (reports: readonly Report[], path_bytes = 1400, now_s = 1) => {
    const source: UnderlayErrors = {
      fd: -1,
      take(words) {
        for (const [n, { errno, address = PEER, port = 4789, vni = -1 }] of reports.entries()) {
          const at = n * ERROR_WORDS;
          const peer = ip(address);
          words.fill(0, at, at + ERROR_WORDS);
          words.set([peer.w0, peer.w1, peer.w2, peer.w3], at + ERROR_ADDRESS);
          words[at + ERROR_ERRNO] = errno;
          words[at + ERROR_FAMILY] = 4;
          words[at + ERROR_MTU] = 600;
          words[at + ERROR_PORT] = port;
          words[at + ERROR_VNI] = vni;
          words[at + ERROR_TYPE] = errno === ECONNREFUSED ? 3 : -1;
          words[at + ERROR_CODE] = 3;
          words.set([0, 0, 0xffff, peer.w3], at + ERROR_OFFENDER);
        }
        return reports.length;
      },
      pathMtu_bytes(...address) {
        asked.push(address[3] >>> 0);
        return path_bytes;
      },
    };
    return errors.drain(source, now_s);
  };
  const unreachable = (tunnel: number) =>
    counters.tunnel(tunnel).drops[DropReasons.peerUnreachable.id];
  return { remotes, rows, drain, unreachable, asked, unreachableRows };
}

describe("a path that is smaller", () => {
  it("is noted with every remote at that address, as large as the kernel says", () => {
    const { remotes, rows, drain, asked } = fixture();
    expect(drain([{ errno: EMSGSIZE }])).toBe(1);
    expect(rows.map((row) => remotes.pathMtu(row))).toEqual([1400, 1400, 1400, 0]);
    expect(asked).toEqual([ip(PEER).w3]);
  });

  it("is nothing when the kernel knows none, or nobody has that address", () => {
    const { remotes, rows, drain, asked } = fixture();
    drain([{ errno: EMSGSIZE }], -101);
    expect(asked).toHaveLength(1);
    drain([{ errno: EMSGSIZE, address: "192.168.57.99" }]);
    expect(asked).toHaveLength(1);
    expect(rows.map((row) => remotes.pathMtu(row))).toEqual([0, 0, 0, 0]);
  });
});

describe("a peer that cannot be reached", () => {
  it("is counted for the tunnel whose port and VNI were quoted", () => {
    const { drain, unreachable } = fixture();
    drain([
      { errno: ECONNREFUSED, vni: 101 },
      { errno: ECONNREFUSED, vni: 100, port: 8472 },
      { errno: ECONNREFUSED, vni: 100 },
    ]);
    expect([unreachable(0), unreachable(1)]).toEqual([1, 2]);
  });

  it("is counted for the first tunnel with that address when no VNI was quoted", () => {
    const { drain, unreachable } = fixture();
    drain([{ errno: ECONNREFUSED }, { errno: ECONNREFUSED, port: 1 }]);
    expect([unreachable(0), unreachable(1)]).toEqual([2, 0]);
  });

  it("is remembered with that remote, and who said it", () => {
    const { rows, drain, unreachableRows } = fixture();
    drain([{ errno: ECONNREFUSED, vni: 101 }]);
    expect(rows.map((row) => unreachableRows.get(row, 1)?.kind)).toEqual([
      ...[undefined, PORT_UNREACHABLE, undefined, undefined],
    ]);
    const offender = [0, 0, 0xffff, ip(PEER).w3];
    expect(unreachableRows.get(rows[1]!, 5)).toMatchObject({ at_s: 1, count: 1, offender });
  });

  it("is not thought unreachable for what this host says", () => {
    const { rows, drain, unreachableRows, unreachable } = fixture();
    drain([{ errno: 101 }]);
    expect(unreachable(0)).toBe(1);
    expect(unreachableRows.get(rows[0]!, 1)).toBeUndefined();
  });

  it("belongs to no tunnel when the remote is gone", () => {
    const { drain, unreachable } = fixture();
    drain([{ errno: ECONNREFUSED, address: "192.168.57.99" }]);
    expect([unreachable(0), unreachable(1), unreachable(NO_TUNNEL)]).toEqual([0, 0, 1]);
  });
});

describe("a flood of errors", () => {
  it("has remotes looked for so many times per second, and is counted whole", () => {
    const { remotes, rows, drain, unreachable, asked } = fixture();
    for (let n = 0; n < LOOKED_UP_PER_S + 5; n++) drain([{ errno: ECONNREFUSED }]);
    expect([unreachable(0), unreachable(NO_TUNNEL)]).toEqual([LOOKED_UP_PER_S, 5]);
    drain([{ errno: EMSGSIZE }]);
    expect(asked).toEqual([]);
    drain([{ errno: EMSGSIZE }], 1400, 2);
    expect(remotes.pathMtu(rows[0]!)).toBe(1400);
  });
});
