// Routes: longest-prefix match of an inner destination. A lookup probes the table once per prefix
// length that occurs, so what counts besides the number of routes is how many lengths there are.

import {
  ROUTE_RESULT_REMOTE,
  ROUTE_RESULT_WORDS,
  RouteTable,
} from "../../src/routes/route-table.js";
import { TABLE_OK } from "../../src/shared-memory/table-result.js";
import { type Case, type Family, measureCases, numbers } from "./harness.js";

const SIZES = [1_000, 100_000];
const DESTINATIONS = 1 << 16;
const ONE_LENGTH = [24];
/** Some of what a routing table of a larger network has; half of the routes are /24. */
const FIVE_LENGTHS = [24, 16, 24, 20, 24, 22, 24, 32];

function mask(length: number): number {
  return -1 << (32 - length);
}

/** A table and addresses within its routes, in random order. */
function makeTable(size: number, lengths: readonly number[], random: () => number) {
  const routes = RouteTable.create(size);
  const prefixes: number[] = [];
  while (routes.count < size) {
    const prefixLength = lengths[routes.count % lengths.length]!;
    // The lower half of the addresses stays free, for those without a route.
    const prefix = ((random() | 0x80000000) & mask(prefixLength)) >>> 0;
    const entry = { prefix, prefixLength, gateway: random(), remote: random() & 63 };
    if (routes.add(entry) === TABLE_OK) prefixes.push(prefix | (random() & ~mask(prefixLength)));
  }
  const destinations = Int32Array.from(
    { length: DESTINATIONS },
    () => prefixes[random() % prefixes.length]!,
  );
  return { routes, destinations };
}

function lookup(routes: RouteTable, destinations: Int32Array): Case["run"] {
  const out = new Int32Array(ROUTE_RESULT_WORDS);
  return (count) => {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      kept += routes.lookup(destinations[i & (DESTINATIONS - 1)]!, out) ^ out[ROUTE_RESULT_REMOTE]!;
    }
    return kept;
  };
}

function* cases(): Generator<Case> {
  for (const size of SIZES) {
    for (const lengths of [ONE_LENGTH, FIVE_LENGTHS]) {
      const { routes, destinations } = makeTable(size, lengths, numbers());
      const kinds = new Set(lengths).size;
      const of = `${size.toLocaleString("en")} routes of ${kinds} ${kinds === 1 ? "length" : "lengths"}`;
      yield { name: `lookup hit, ${of}`, run: lookup(routes, destinations) };
      const outside = destinations.map((address) => address & 0x7fffffff);
      yield { name: `no route, ${of}`, run: lookup(routes, outside) };
    }
  }
}

export const family: Family = {
  about: "longest-prefix match of one address, random addresses, ns",
  measure: (report) => measureCases(cases(), report),
};
