// Every ICMP error there is about an outer packet: what it says of the remote, and what the inner
// sender is told of it.

import { describe, expect, it } from "vitest";
import { innerCode4, isRelayed, unreachableKind } from "../../../src/forwarding/tunnel-errors.js";
import {
  HOST_UNREACHABLE,
  NET_UNREACHABLE,
  PORT_UNREACHABLE,
  PROHIBITED,
  PROTOCOL_UNREACHABLE,
  REACHABLE,
  TTL_EXCEEDED,
  UNREACHABLE_NAMES,
} from "../../../src/remotes/unreachable-rows.js";

/** Kinds by "type/code"; all others are REACHABLE. */
const KINDS4: Record<string, number> = {
  "3/0": NET_UNREACHABLE,
  "3/1": HOST_UNREACHABLE,
  "3/2": PROTOCOL_UNREACHABLE,
  "3/3": PORT_UNREACHABLE,
  "3/6": NET_UNREACHABLE,
  "3/7": HOST_UNREACHABLE,
  "3/8": HOST_UNREACHABLE,
  "3/9": PROHIBITED,
  "3/10": PROHIBITED,
  "3/11": NET_UNREACHABLE,
  "3/12": HOST_UNREACHABLE,
  "3/13": PROHIBITED,
  "3/14": PROHIBITED,
  "3/15": PROHIBITED,
  "11/0": TTL_EXCEEDED,
};
const KINDS6: Record<string, number> = {
  "1/0": NET_UNREACHABLE,
  "1/1": PROHIBITED,
  "1/2": HOST_UNREACHABLE,
  "1/3": HOST_UNREACHABLE,
  "1/4": PORT_UNREACHABLE,
  "1/5": PROHIBITED,
  "1/6": PROHIBITED,
  "3/0": TTL_EXCEEDED,
  "4/1": PROTOCOL_UNREACHABLE,
};

const kindsOf = (family: 4 | 6): Record<string, number> => {
  const found: Record<string, number> = {};
  for (let type = -1; type < 256; type++) {
    for (let code = 0; code < 256; code++) {
      const kind = unreachableKind(family, type, code);
      if (kind !== REACHABLE) found[`${type}/${code}`] = kind;
    }
  }
  return found;
};

describe("what an error says of the remote", () => {
  it("is this, of ICMP", () => expect(kindsOf(4)).toEqual(KINDS4));
  it("is this, of ICMPv6", () => expect(kindsOf(6)).toEqual(KINDS6));
});

describe("what the inner sender is told", () => {
  const kinds = UNREACHABLE_NAMES.map((_, kind) => kind);

  it("is nothing of ports", () => {
    expect(kinds.filter((kind) => !isRelayed(kind))).toEqual([REACHABLE, PORT_UNREACHABLE]);
  });

  it("is the network where an IPv4 router said so, else the host", () => {
    expect(kinds.filter((kind) => innerCode4(4, kind) === 0)).toEqual([NET_UNREACHABLE]);
    expect(kinds.filter((kind) => innerCode4(4, kind) === 1)).toHaveLength(kinds.length - 1);
    expect(kinds.filter((kind) => innerCode4(6, kind) === 1)).toEqual(kinds);
  });
});
