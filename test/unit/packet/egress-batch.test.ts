// The egress batch: limits of the send list and of scratch.

import { describe, expect, it } from "vitest";
import {
  MAX_SENDS,
  SCRATCH_BYTES,
  SEND_BYTES,
  SEND_FLAGS,
  SEND_FRAME,
  SEND_HEADER,
  SEND_HEADER_BYTES,
  SEND_REMOTE,
  SEND_RESULT,
  SEND_SOCKET,
  SEND_TOS,
  SEND_WORDS,
} from "#abi";
import { EgressBatch } from "../../../src/packet/egress-batch.js";

const row =
  ({ sends }: EgressBatch, index: number) =>
  (column: number) =>
    sends[index * SEND_WORDS + column];

describe("the send list", () => {
  it("holds every column of a send, results cleared", () => {
    const batch = new EgressBatch();
    batch.sends.fill(-1);
    expect(batch.addSend(1, 2, 3, 4, 8, 6, 1)).toBe(true);
    const columns = [SEND_FRAME, SEND_REMOTE, SEND_SOCKET, SEND_HEADER, SEND_HEADER_BYTES];
    expect([...columns, SEND_TOS, SEND_FLAGS].map(row(batch, 0))).toEqual([1, 2, 3, 4, 8, 6, 1]);
    expect([SEND_RESULT, SEND_BYTES].map(row(batch, 0))).toEqual([0, 0]);
  });

  it("refuses what exceeds MAX_SENDS until it is begun anew", () => {
    const batch = new EgressBatch();
    for (let i = 0; i < MAX_SENDS; i++) expect(batch.addSend(i, 0, 0, 0, 8, 0, 0)).toBe(true);
    expect(batch.addSend(0, 0, 0, 0, 8, 0, 0)).toBe(false);
    expect(batch.sendCount).toBe(MAX_SENDS);
    batch.beginSends();
    expect(batch.addSend(0, 0, 0, 0, 8, 0, 0)).toBe(true);
  });

  it("moves whole rows", () => {
    const batch = new EgressBatch();
    batch.addSend(1, 1, 1, 1, 8, 1, 1);
    batch.addSend(2, 3, 4, 5, 6, 7, 8);
    batch.moveSend(1, 0);
    expect([SEND_FRAME, SEND_REMOTE, SEND_FLAGS].map(row(batch, 0))).toEqual([2, 3, 8]);
  });
});

describe("scratch", () => {
  it("is given front to back up to its size, and anew with the next sends", () => {
    const batch = new EgressBatch();
    expect([batch.allocateScratch(8), batch.allocateScratch(100)]).toEqual([0, 8]);
    expect(batch.allocateScratch(SCRATCH_BYTES - 107)).toBe(-1);
    expect(batch.allocateScratch(SCRATCH_BYTES - 108)).toBe(108);
    expect(batch.allocateScratch(1)).toBe(-1);
    batch.beginSends();
    expect(batch.allocateScratch(SCRATCH_BYTES)).toBe(0);
  });

  it("takes back what is released, and keeps what was given before", () => {
    const batch = new EgressBatch();
    batch.allocateScratch(8);
    const answer = batch.allocateScratch(1304);
    batch.releaseScratch(answer);
    expect(batch.allocateScratch(8)).toBe(8);
  });
});
