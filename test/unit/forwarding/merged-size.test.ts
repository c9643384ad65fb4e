// The size of the segments of merged TCP packets: proofs, hints, how both grow and shrink.

import { describe, expect, it } from "vitest";
import {
  MERGED_FLOWS,
  MergedSizes,
  MIN_SEGMENT_BYTES,
} from "../../../src/forwarding/merged-size.js";

const FLOW = 0x12345;
const T = 1000;

describe("a flow of which nothing was seen", () => {
  it("has no size", () => {
    expect(new MergedSizes().size(FLOW)).toBe(0);
    expect(new MergedSizes().size(0)).toBe(0);
  });
});

describe("proofs", () => {
  it("are segments without PSH; the largest is the size", () => {
    const sizes = new MergedSizes();
    sizes.proof(FLOW, 1340, false, T);
    sizes.proof(FLOW, 900, false, T);
    expect(sizes.size(FLOW)).toBe(1340);
    sizes.proof(FLOW, 1428, false, T);
    expect(sizes.size(FLOW)).toBe(1428);
  });

  it("stay for as long as nothing else is proved", () => {
    const sizes = new MergedSizes();
    sizes.proof(FLOW, 1340, false, T);
    sizes.hint(FLOW, 1428, T + 600);
    expect(sizes.size(FLOW)).toBe(1340);
  });

  it("shrink within two seconds when the sender learned of a smaller path", () => {
    const sizes = new MergedSizes();
    sizes.proof(FLOW, 1428, false, T);
    sizes.proof(FLOW, 1340, false, T + 1);
    expect(sizes.size(FLOW)).toBe(1428);
    sizes.proof(FLOW, 1340, false, T + 2);
    expect(sizes.size(FLOW)).toBe(1340);
  });

  it("shrink at once after a pause", () => {
    const sizes = new MergedSizes();
    sizes.proof(FLOW, 1428, false, T);
    sizes.proof(FLOW, 1340, false, T + 5);
    expect(sizes.size(FLOW)).toBe(1340);
  });

  it("with PSH raise a size and neither make nor lower one", () => {
    const sizes = new MergedSizes();
    sizes.proof(FLOW, 1340, true, T);
    expect(sizes.size(FLOW)).toBe(0);
    sizes.proof(FLOW, 1340, false, T);
    sizes.proof(FLOW, 700, true, T + 3);
    expect(sizes.size(FLOW)).toBe(1340);
    sizes.proof(FLOW, 1428, true, T + 3);
    expect(sizes.size(FLOW)).toBe(1428);
  });

  it("of less than any full segment are not looked at", () => {
    const sizes = new MergedSizes();
    sizes.proof(FLOW, MIN_SEGMENT_BYTES - 1, false, T);
    sizes.hint(FLOW, MIN_SEGMENT_BYTES - 1, T);
    expect(sizes.size(FLOW)).toBe(0);
    sizes.proof(FLOW, MIN_SEGMENT_BYTES, false, T);
    expect(sizes.size(FLOW)).toBe(MIN_SEGMENT_BYTES);
  });
});

describe("hints", () => {
  it("are a size where there is no proof; the smallest of two seconds", () => {
    const sizes = new MergedSizes();
    sizes.hint(FLOW, 1400, T);
    sizes.hint(FLOW, 700, T);
    sizes.hint(FLOW, 1400, T);
    expect(sizes.size(FLOW)).toBe(700);
    sizes.hint(FLOW, 1400, T + 1);
    expect(sizes.size(FLOW)).toBe(700);
    sizes.hint(FLOW, 1400, T + 2);
    expect(sizes.size(FLOW)).toBe(1400);
  });

  it("give way to a proof, whichever is larger, and never come back", () => {
    for (const proof of [1000, 1428]) {
      const sizes = new MergedSizes();
      sizes.hint(FLOW, 1340, T);
      sizes.proof(FLOW, proof, false, T);
      sizes.hint(FLOW, 600, T);
      expect(sizes.size(FLOW)).toBe(proof);
    }
  });

  it("are not raised by a segment with PSH", () => {
    const sizes = new MergedSizes();
    sizes.hint(FLOW, 700, T);
    sizes.proof(FLOW, 1400, true, T);
    expect(sizes.size(FLOW)).toBe(700);
  });
});

describe("flows", () => {
  it("are kept apart, and lose their slot to another one with the same place", () => {
    const sizes = new MergedSizes();
    sizes.proof(FLOW, 1340, false, T);
    sizes.proof(FLOW + 1, 900, false, T);
    expect([sizes.size(FLOW), sizes.size(FLOW + 1)]).toEqual([1340, 900]);
    const same = FLOW + MERGED_FLOWS;
    expect(sizes.size(same)).toBe(0);
    sizes.proof(same, 1000, true, T);
    expect(sizes.size(FLOW)).toBe(1340);
    sizes.hint(same, 800, T);
    expect([sizes.size(FLOW), sizes.size(same)]).toEqual([0, 800]);
  });
});
