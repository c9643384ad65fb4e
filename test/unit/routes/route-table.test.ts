// Longest-prefix match in both families, impossible prefixes, limits, next hops that are one, none
// or many.
import { describe, expect, it } from "vitest";
import { MAX_GROUPS, type NextHop } from "../../../src/routes/next-hop-groups.js";
import {
  FIRST_GROUP,
  NO_ROUTE,
  ON_LINK,
  RouteReader,
  RouteTable,
} from "../../../src/routes/route-table.js";
import { MAX_REMOTES } from "../../../src/shared-memory/limits.js";
import {
  TABLE_FULL,
  TABLE_INVALID,
  TABLE_NOT_FOUND,
  TABLE_OK,
} from "../../../src/shared-memory/table-result.js";
import {
  type IpAddress,
  type IpPrefix,
  isIpv4,
  maskIp,
  parseIp,
  parsePrefix,
} from "../../../src/wire/ip-address.js";

function prefix(text: string): IpPrefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`no prefix: ${text}`);
  return parsed;
}

function ip(text: string): IpAddress {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}

/** Next hops of equal weight. */
function hops(...remotes: number[]): NextHop[] {
  return remotes.map((remote) => ({ remote, weight: 1 }));
}

function route(to: string, ...remotes: number[]) {
  return { prefix: prefix(to), hops: hops(...remotes) };
}

/** A table and the lookups of a worker. */
function makeTable(maxEntries = 256) {
  const table = new RouteTable(maxEntries);
  const reader = new RouteReader(structuredClone(table.sharedState()));
  const lookup = (destination: IpAddress | string) => {
    const address = typeof destination === "string" ? ip(destination) : destination;
    const { w0, w1, w2, w3 } = address;
    return isIpv4(address) ? reader.lookup4(w3) : reader.lookup6(w0, w1, w2, w3);
  };
  return { table, reader, lookup };
}

const ALL_ONES = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
const FAMILIES = [
  { family: 4, bits: 32, ones: "255.255.255.255", zero: "0.0.0.0" },
  { family: 6, bits: 128, ones: ALL_ONES, zero: "::" },
] as const;

describe("RouteReader.lookup", () => {
  it("takes the longest prefix that covers the destination", () => {
    const { table, lookup } = makeTable();
    expect(lookup("192.168.11.10")).toBe(NO_ROUTE);
    table.set(route("192.168.0.0/16", 1));
    table.set(route("192.168.11.0/24", 2));
    table.set(route("192.168.11.10/32"));
    expect(lookup("192.168.11.10")).toBe(ON_LINK);
    expect(lookup("192.168.11.11")).toBe(2);
    expect(lookup("192.168.12.11")).toBe(1);
    expect(lookup("192.169.12.11")).toBe(NO_ROUTE);
    table.set(route("0.0.0.0/0", 0));
    expect(lookup("192.169.12.11")).toBe(0);
    expect(lookup("::1")).toBe(NO_ROUTE);
  });

  it("finds nothing where the longest prefix leads nowhere", () => {
    const { table, lookup } = makeTable();
    for (const [to, longer, inside, outside] of [
      ["0.0.0.0/0", "192.168.11.0/24", "192.168.11.10", "192.168.12.10"],
      ["::/0", "2001:db8::/48", "2001:db8::1", "2001:db8:1::1"],
    ]) {
      const nowhere = { prefix: prefix(longer), hops: undefined };
      table.set(route(to, 1));
      expect(table.set(nowhere)).toBe(TABLE_OK);
      expect([lookup(inside), lookup(outside)]).toEqual([NO_ROUTE, 1]);
      expect(table.match(ip(inside))).toEqual(nowhere);
      expect(table.get(prefix(longer))).toEqual(nowhere);
      table.set(route(longer, 2, 3));
      expect(lookup(inside)).toBeGreaterThanOrEqual(FIRST_GROUP);
      table.set(nowhere);
      expect(lookup(inside)).toBe(NO_ROUTE);
      table.delete(prefix(longer));
      expect(lookup(inside)).toBe(1);
    }
  });

  it("takes the highest row of the remote table", () => {
    const { table, lookup } = makeTable();
    table.set(route("10.0.0.0/8", MAX_REMOTES - 1));
    expect(lookup("10.0.0.1")).toBe(MAX_REMOTES - 1);
    expect(table.get(prefix("10.0.0.0/8"))?.hops).toEqual(hops(MAX_REMOTES - 1));
  });

  it("keeps the families apart", () => {
    const { table, lookup } = makeTable();
    table.set(route("::/0", 6));
    expect(lookup("2001:db8::1")).toBe(6);
    expect(lookup("10.0.0.1")).toBe(NO_ROUTE);
    table.set(route("0.0.0.0/0", 4));
    expect(lookup("2001:db8::1")).toBe(6);
    expect(lookup("10.0.0.1")).toBe(4);
  });

  for (const { family, bits, ones, zero } of FAMILIES) {
    const nested = (n: number): IpPrefix => ({ ip: maskIp(ip(ones), n), family, length: n });

    it(`handles every prefix length of IPv${family}, nested`, () => {
      const { table, lookup } = makeTable();
      for (let n = 0; n <= bits; n++) {
        expect(table.set({ prefix: nested(n), hops: hops(n) })).toBe(TABLE_OK);
        expect(lookup(ones)).toBe(n);
      }
      for (let n = 0; n <= bits; n++) expect(table.get(nested(n))?.hops).toEqual(hops(n));
      expect(lookup(zero)).toBe(0);
      for (let n = bits; n >= 0; n--) {
        expect(lookup(ones)).toBe(n);
        expect(table.delete(nested(n))).toBe(TABLE_OK);
      }
      expect(lookup(ones)).toBe(NO_ROUTE);
      expect(table.count).toBe(0);
    });

    it(`handles every prefix length of IPv${family}, shortest deleted first`, () => {
      const { table, lookup } = makeTable();
      for (let n = bits; n >= 0; n--) table.set({ prefix: nested(n), hops: hops(n) });
      for (let n = 0; n < bits; n++) {
        expect(table.delete(nested(n))).toBe(TABLE_OK);
        expect(lookup(ones)).toBe(bits);
        expect(lookup(zero)).toBe(NO_ROUTE);
      }
    });

    it(`handles every prefix length of IPv${family}, alone`, () => {
      const { table, lookup } = makeTable();
      for (let n = 1; n <= bits; n++) {
        const only = nested(n);
        // The same address but for the last bit of the prefix.
        const other = maskIp(ip(ones), n - 1);
        table.set({ prefix: only, hops: hops(7) });
        expect(lookup(ones)).toBe(7);
        expect(lookup(only.ip)).toBe(7);
        expect(lookup(other)).toBe(NO_ROUTE);
        expect(table.match(ip(ones))).toEqual({ prefix: only, hops: hops(7) });
        table.delete(only);
        expect(lookup(ones)).toBe(NO_ROUTE);
      }
    });
  }
});

describe("RouteTable", () => {
  it("refuses prefixes with host bits and lengths that are none", () => {
    const { table } = makeTable();
    const { ip: zero } = prefix("0.0.0.0/0");
    const impossible = [
      ...["10.0.0.1/24", "0.0.0.1/0", "10.0.0.3/31", "2001:db8::1/127", "::1/0"].map(prefix),
      ...[33, -1, 1.5].map((length): IpPrefix => ({ ip: zero, family: 4, length })),
      { ip: ip("::"), family: 6, length: 129 } as const,
    ];
    for (const one of impossible) {
      expect(table.set({ prefix: one, hops: [] })).toBe(TABLE_INVALID);
      expect(table.set({ prefix: one, hops: hops(1, 2) })).toBe(TABLE_INVALID);
      expect(table.delete(one)).toBe(TABLE_NOT_FOUND);
      expect(table.get(one)).toBeUndefined();
    }
    expect(table.count).toBe(0);
  });

  it("adds, replaces, deletes once; each family has its own limit", () => {
    const { table, lookup } = makeTable(1);
    expect(table.maxEntries).toBe(1);
    expect(table.set(route("10.0.0.0/8", 1))).toBe(TABLE_OK);
    expect(table.set(route("10.0.0.0/9", 2))).toBe(TABLE_FULL);
    expect(lookup("10.0.0.1")).toBe(1);
    expect(table.set(route("2001:db8::/32", 3))).toBe(TABLE_OK);
    expect(table.set(route("2001:db8::/33", 3))).toBe(TABLE_FULL);
    expect(table.set(route("10.0.0.0/8", 4))).toBe(TABLE_OK);
    expect(lookup("10.0.0.1")).toBe(4);
    expect(table.count).toBe(2);
    expect(table.delete(prefix("10.0.0.0/8"))).toBe(TABLE_OK);
    expect(table.delete(prefix("10.0.0.0/8"))).toBe(TABLE_NOT_FOUND);
    expect(table.set(route("10.0.0.0/9", 2))).toBe(TABLE_OK);
    expect(lookup("10.0.0.1")).toBe(2);
  });

  it("tells what is in it", () => {
    const { table } = makeTable();
    const routes = [
      route("0.0.0.0/0", 1),
      route("10.0.0.0/8"),
      route("10.1.0.0/16", 2, 3),
      route("::/0", 4),
      route("2001:db8::/32"),
      route("2001:db8::1/128", 3, 2),
    ];
    for (const one of routes) table.set(one);
    const found = table.list();
    expect(found.slice(0, 3).every(({ prefix: { family } }) => family === 4)).toBe(true);
    routes[5] = route("2001:db8::1/128", 2, 3);
    expect(new Set(found)).toEqual(new Set(routes));
    expect(table.match(ip("10.1.2.3"))).toEqual(routes[2]);
    expect(table.match(ip("10.2.2.3"))).toEqual(routes[1]);
    expect(table.match(ip("11.2.2.3"))).toEqual(routes[0]);
    expect(table.match(ip("2001:db8::2"))).toEqual(routes[4]);
    expect(table.get(prefix("10.1.0.0/17"))).toBeUndefined();
    table.delete(prefix("::/0"));
    expect(table.match(ip("2001:db9::"))).toBeUndefined();
  });
});

describe("routes with several next hops", () => {
  it("go to each of them, the same flow always to the same", () => {
    const { table, reader, lookup } = makeTable();
    table.set(route("10.0.0.0/8", 5, 6, 7));
    const hop = lookup("10.1.1.1");
    expect(hop).toBeGreaterThanOrEqual(FIRST_GROUP);
    const picked = Array.from({ length: 1000 }, (_, flow) => reader.pick(hop, flow));
    expect(new Set(picked)).toEqual(new Set([5, 6, 7]));
    expect(Array.from({ length: 1000 }, (_, flow) => reader.pick(hop, flow))).toEqual(picked);
    expect(reader.pick(hop, -1)).toBe(reader.pick(hop, 0xffffffff | 0));
  });

  it("count a next hop that is named twice with both weights", () => {
    const { table, lookup } = makeTable();
    const [one, other] = hops(1, 2);
    table.set({ prefix: prefix("10.0.0.0/8"), hops: [one, other, one] });
    expect(table.get(prefix("10.0.0.0/8"))?.hops).toEqual([{ remote: 1, weight: 2 }, other]);
    table.set({ prefix: prefix("10.0.0.0/8"), hops: [one, one] });
    expect(lookup("10.0.0.1")).toBe(1);
  });

  it("share a group, which ends with the last of them", () => {
    const { table } = makeTable(2 * MAX_GROUPS);
    const nth = (n: number) => `10.${n >> 8}.${n & 0xff}.0/24`;
    for (let n = 0; n < MAX_GROUPS; n++) {
      expect(table.set(route(nth(n), n, n + 1))).toBe(TABLE_OK);
    }
    expect(table.set(route("192.168.0.0/24", 5, 0))).toBe(TABLE_FULL);
    expect(table.get(prefix("192.168.0.0/24"))).toBeUndefined();
    // The same set in another order is no other one.
    expect(table.set(route("192.168.1.0/24", 6, 5))).toBe(TABLE_OK);
    table.delete(prefix(nth(5)));
    expect(table.set(route("192.168.0.0/24", 5, 0))).toBe(TABLE_FULL);
    // Replaced with itself it is kept, with another one given up.
    table.set(route("192.168.1.0/24", 5, 6));
    expect(table.set(route("192.168.0.0/24", 5, 0))).toBe(TABLE_FULL);
    table.set(route("192.168.1.0/24", 5));
    expect(table.set(route("192.168.0.0/24", 5, 0))).toBe(TABLE_OK);
    expect(table.set(route("192.168.2.0/24", 6, 0))).toBe(TABLE_FULL);
    expect(table.get(prefix(nth(6)))?.hops).toEqual(hops(6, 7));
  });

  it("do not keep a group when there is no room for the route", () => {
    const { table } = makeTable(1);
    table.set(route("10.0.0.0/8", 1));
    for (let n = 0; n <= MAX_GROUPS; n++) {
      expect(table.set(route("11.0.0.0/8", n, n + 1))).toBe(TABLE_FULL);
    }
    expect(table.set(route("10.0.0.0/8", 1, 2))).toBe(TABLE_OK);
  });

  it("are looked up again when their group has become another one's", () => {
    const { table, reader, lookup } = makeTable();
    const uses = (rounds: number) => {
      for (let n = 0; n < rounds; n++) {
        table.set(route("192.168.0.0/16", 100, 101 + (n % 2)));
        table.delete(prefix("192.168.0.0/16"));
      }
    };
    const changes: [change: () => void, expected: number[]][] = [
      [() => table.set(route("10.0.0.0/8", 3, 4)), [3, 4]],
      [() => table.set(route("10.0.0.0/8", 5)), [5]],
      [() => table.set(route("10.0.0.0/8")), [ON_LINK]],
      [() => table.set({ prefix: prefix("10.0.0.0/8"), hops: undefined }), [NO_ROUTE]],
      [() => table.delete(prefix("10.0.0.0/8")), [NO_ROUTE]],
    ];
    for (const [change, expected] of changes) {
      table.set(route("10.0.0.0/8", 1, 2));
      const hop = lookup("10.0.0.1");
      change();
      uses(MAX_GROUPS);
      const picked = Array.from({ length: 64 }, (_, flow) => reader.pick(hop, flow));
      expect(new Set(picked)).toEqual(new Set(expected));
    }
    table.set(route("2001:db8::/32", 1, 2));
    const hop = lookup("2001:db8::1");
    table.set(route("2001:db8::/32", 9));
    uses(MAX_GROUPS);
    expect(reader.pick(hop, 0)).toBe(9);
  });
});
