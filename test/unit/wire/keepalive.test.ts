// Keepalives on the wire: a round trip of every field, and what is no keepalive of this version.

import { describe, expect, it } from "vitest";
import {
  emitKeepalive,
  isKeepalive,
  KEEPALIVE_BYTES,
  KEEPALIVE_REPLY,
  KEEPALIVE_REQUEST,
  parseKeepalive,
} from "../../../src/wire/keepalive.js";
import { VXLAN_FLAG_VNI, vxlanFlags, vxlanVni } from "../../../src/wire/vxlan.js";
import { emitted, patched } from "./support.js";

const MAX = Number.MAX_SAFE_INTEGER;
const repr = {
  ...{ vni: 0xfedcba, kind: KEEPALIVE_REPLY, replyPort: 65_535, replyVni: 0x123456 },
  ...{ nonce: 0xffffffff, sequence: 0x80000001, token: 16_383, time_us: MAX },
  ...{ instance: 0xdeadbeef, sent: MAX - 1, arrived: 0x1_0000_0002 },
};
const bytes = emitted((out, at) => emitKeepalive(repr, out, at));

describe("keepalive", () => {
  it("is read as it was written", () => {
    expect(bytes).toHaveLength(KEEPALIVE_BYTES);
    expect(parseKeepalive(bytes, 0, bytes.length)).toEqual(repr);
    const request = { ...repr, kind: KEEPALIVE_REQUEST, time_us: 0, sent: 0, arrived: 0 };
    const written = emitted((out, at) => emitKeepalive(request, out, at));
    expect(parseKeepalive(written, 0, KEEPALIVE_BYTES)).toEqual(request);
  });

  it("has a VXLAN header whose VNI is in its place and not valid", () => {
    expect(vxlanFlags(bytes, 0) & VXLAN_FLAG_VNI).toBe(0);
    expect(vxlanVni(bytes, 0)).toBe(0xfedcba);
  });

  it("is refused truncated or longer", () => {
    for (let end = 0; end < KEEPALIVE_BYTES; end++) {
      expect(parseKeepalive(bytes.slice(0, end), 0, end)).toBeUndefined();
    }
    const longer = new Uint8Array(KEEPALIVE_BYTES + 1);
    longer.set(bytes);
    expect(parseKeepalive(longer, 0, longer.length)).toBeUndefined();
  });

  it.each([
    ["the I flag", 0, 0x08],
    ["another magic", 3, 0],
    ["another version", 8, 2],
    ["kind 0", 9, 0],
    ["kind 3", 9, 3],
    ["a time beyond 2^53", 28, 0xff],
    ["a count beyond 2^53", 41, 0x3f],
  ])("is refused with %s", (_, at, value) => {
    expect(parseKeepalive(patched(bytes, at, value), 0, KEEPALIVE_BYTES)).toBeUndefined();
  });

  it("is told from a VXLAN header by its first four bytes", () => {
    expect(isKeepalive(bytes, 0)).toBe(true);
    expect(isKeepalive(Uint8Array.of(8, 0, 0, 0, 0, 0, 100, 0), 0)).toBe(false);
    expect(isKeepalive(Uint8Array.of(0, 0, 0, 0, 0, 0, 100, 0), 0)).toBe(false);
  });
});
