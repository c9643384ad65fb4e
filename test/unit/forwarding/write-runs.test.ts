// The end of ingress: what a device says of its runs becomes counts, each once.

import { describe, expect, it } from "vitest";
import {
  RUN_BAD_CHECKSUM,
  RUN_BYTES,
  RUN_DEVICE,
  RUN_DEVICE_ERRNO,
  RUN_DEVICE_ERRORS,
  RUN_MALFORMED,
  RUN_WORDS,
  RUN_WRITES,
  RUN_WRITTEN,
} from "#abi";
import type { Device } from "../../../src/device/device.js";
import { RunWriter } from "../../../src/forwarding/write-runs.js";
import { IngressBatch } from "../../../src/packet/ingress-batch.js";
import { Counters, WorkerCounters } from "../../../src/telemetry/counters.js";
import { DROP_REASONS } from "../../../src/telemetry/drop-reasons.js";

type Columns = Record<number, number>;

/** A device that answers every run with the given columns. */
class ScriptedDevice implements Device {
  readonly fd = -1;
  batches = 0;

  constructor(
    readonly index: number,
    readonly columns: Columns,
  ) {}

  readBatch(): number {
    return -11;
  }

  writeBatch({ runs, runCount }: IngressBatch): void {
    this.batches++;
    for (let at = 0; at < runCount * RUN_WORDS; at += RUN_WORDS) {
      if (runs[at + RUN_DEVICE] !== this.index) continue;
      for (const [column, value] of Object.entries(this.columns)) runs[at + Number(column)] = value;
    }
  }

  write(): number {
    return 0;
  }
}

function fixture() {
  const batch = new IngressBatch();
  const counters = Counters.create({ workers: 1, maxTunnels: 2, maxRemotes: 8 });
  const writer = new RunWriter(batch, new WorkerCounters(counters.sharedState(), 0));
  const receive = (runs: number) => {
    batch.runs.fill(0, 0, runs * RUN_WORDS);
    for (let run = 0; run < runs; run++) batch.runs[run * RUN_WORDS + RUN_DEVICE] = -1;
    batch.runCount = runs;
  };
  const counts = (tunnel: number) => {
    const { fields, drops } = counters.tunnel(tunnel);
    const named = DROP_REASONS.map(({ id, name }) => [name, drops[id]] as const);
    const all = [...Object.entries(fields), ...named];
    return Object.fromEntries(all.filter(([, count]) => count !== 0));
  };
  return { batch, counters, writer, receive, counts };
}

const written = (packets: number, bytes: number, writes: number): Columns => ({
  [RUN_WRITTEN]: packets,
  [RUN_BYTES]: bytes,
  [RUN_WRITES]: writes,
});

describe("RunWriter", () => {
  it("hands a batch to each device once and counts packets per tunnel and per sender", () => {
    const { writer, receive, counts, counters } = fixture();
    const [first, second] = [0, 1].map((index) => new ScriptedDevice(index, written(3, 300, 3)));
    receive(4);
    writer.assign(0, first, 5);
    writer.assign(1, second, 6);
    writer.assign(3, first, 7);
    writer.flush();
    expect([first.batches, second.batches]).toEqual([1, 1]);
    expect(counts(0)).toEqual({ ingressPackets: 6, ingressBytes: 600 });
    expect(counts(1)).toEqual({ ingressPackets: 3, ingressBytes: 300 });
    const packets = [5, 6, 7].map((row) => counters.remote(row).ingressPackets);
    expect(packets).toEqual([3, 3, 3]);
  });

  it("counts a run as superpacket when it took fewer writes than it had packets", () => {
    const { writer, receive, counts } = fixture();
    receive(1);
    writer.assign(0, new ScriptedDevice(0, written(40, 60_000, 1)), 0);
    writer.flush();
    expect(counts(0)).toMatchObject({ ingressPackets: 40, ingressSuperpackets: 1 });
  });

  it("counts segments with wrong checksums, malformed and refused ones by their reason", () => {
    const { writer, receive, counts } = fixture();
    const columns = { ...written(1, 100, 1), [RUN_BAD_CHECKSUM]: 2, [RUN_MALFORMED]: 3 };
    receive(1);
    writer.assign(0, new ScriptedDevice(0, columns), 0);
    writer.flush();
    expect(counts(0)).toEqual({
      ...{ ingressPackets: 1, ingressBytes: 100 },
      ...{ "inner-checksum": 2, "inner-malformed": 3 },
    });
  });

  it.each([
    [11, "device-busy"],
    [5, "device-error"],
    [77, "device-error"],
  ])("counts what a device refused with errno %i as %s", (errno, reason) => {
    const { writer, receive, counts } = fixture();
    const columns = { [RUN_DEVICE_ERRORS]: 4, [RUN_DEVICE_ERRNO]: errno };
    receive(1);
    writer.assign(0, new ScriptedDevice(0, columns), 0);
    writer.flush();
    expect(counts(0)).toEqual({ [reason]: 4 });
  });

  it("keeps nothing from one batch to the next", () => {
    const { writer, receive, counts } = fixture();
    const device = new ScriptedDevice(0, written(1, 100, 1));
    receive(2);
    writer.assign(0, device, 0);
    writer.assign(1, device, 0);
    writer.flush();
    receive(2);
    writer.flush();
    receive(1);
    writer.assign(0, device, 0);
    writer.flush();
    expect(device.batches).toBe(2);
    expect(counts(0)).toEqual({ ingressPackets: 3, ingressBytes: 300 });
  });
});
