// Routes: longest-prefix match of an inner destination. What counts is the number of routes, how
// their lengths are spread, and whether there is a route; required is that a lookup among 100,000
// routes costs at most twice of one among 1,000 (docs/performance.md). Tables have room for as many
// routes as a tunnel's, whatever they hold.

import { FIRST_GROUP, RouteReader, RouteTable } from "../../src/routes/route-table.js";
import { TABLE_OK } from "../../src/shared-memory/table-result.js";
import { type IpPrefix, ipFromV4, maskIp } from "../../src/wire/ip-address.js";
import { type Case, type Family, measureCases, numbers } from "./harness.js";

const SIZES = [1_000, 10_000, 100_000];
const MAX_ROUTES = 131_072;
const DESTINATIONS = 1 << 16;
const MULTIPATH_ROUTES = 1_000;

/** Out of so many routes each length has so many. */
type Lengths = readonly (readonly [length: number, share: number])[];

interface Distribution {
  readonly name: string;
  readonly family: 4 | 6;
  readonly lengths: Lengths;
  /** Networks that the routes lie in, of `networkBits`; 0: anywhere. */
  readonly networks: number;
  readonly networkBits: number;
}

/** Half are /24; the rest as in tables of the internet, and some longer ones of one's own. */
const INTERNET: Lengths = [
  ...([8, 9, 10, 11, 12, 13, 14, 15] as const).map((length, i) => [length, 2 ** i / 16] as const),
  ...([
    [16, 15],
    [17, 10],
    [18, 18],
    [19, 30],
    [20, 50],
    [21, 55],
    [22, 110],
    [23, 90],
  ] as const),
  ...([
    [24, 500],
    [25, 8],
    [26, 10],
    [27, 8],
    [28, 10],
    [29, 8],
    [30, 8],
    [31, 2],
    [32, 50],
  ] as const),
];
const INTERNET6: Lengths = [
  ...([
    [32, 150],
    [33, 20],
    [34, 15],
    [36, 40],
    [38, 15],
    [40, 70],
    [42, 20],
    [44, 80],
  ] as const),
  ...([
    [45, 10],
    [46, 30],
    [47, 25],
    [48, 400],
    [52, 10],
    [56, 30],
    [60, 5],
    [64, 60],
  ] as const),
  [128, 20],
];

const ANYWHERE = { networks: 0, networkBits: 0 } as const;
const DISTRIBUTIONS: readonly Distribution[] = [
  { name: "/24", family: 4, lengths: [[24, 1]], ...ANYWHERE },
  {
    ...{ name: "/26 and /32 in 64 /16", family: 4, networks: 64, networkBits: 16 },
    lengths: [
      [26, 1],
      [32, 9],
    ],
  },
  { name: "25 lengths, half /24", family: 4, lengths: INTERNET, ...ANYWHERE },
  {
    ...{ name: "25 lengths in 4,096 /16", family: 4, networks: 4096, networkBits: 16 },
    lengths: INTERNET,
  },
  { name: "IPv6 /64", family: 6, lengths: [[64, 1]], networks: 0, networkBits: 0 },
  {
    ...{ name: "IPv6, 17 lengths", family: 6, networks: 0, networkBits: 0 },
    lengths: INTERNET6,
  },
];

/** Where IPv6 routes are: the first words that registries give out begin like this. */
const FIRST_16_BITS = [0x2001, 0x2400, 0x2402, 0x2600, 0x2604, 0x2800, 0x2a00, 0x2a01, 0x2a0c];

type Random = () => number;

function randomWords(family: 4 | 6, random: Random): IpPrefix["ip"] {
  // The lower half of the IPv4 addresses stays free, for those without a route.
  if (family === 4) return ipFromV4((random() | 0x80000000) >>> 0);
  const first = FIRST_16_BITS[random() % FIRST_16_BITS.length]! * 0x10000 + (random() & 0xffff);
  return { w0: first, w1: random(), w2: random(), w3: random() };
}

/** `ip` with its host bits taken from another address. */
function randomHost({ ip, length, family }: IpPrefix, random: Random): IpPrefix["ip"] {
  const other = randomWords(family, random);
  const network = maskIp(other, length);
  const host = (word: "w0" | "w1" | "w2" | "w3") =>
    (ip[word] | (other[word] ^ network[word])) >>> 0;
  return family === 4
    ? ipFromV4(host("w3"))
    : { w0: host("w0"), w1: host("w1"), w2: host("w2"), w3: host("w3") };
}

function randomLength(lengths: Lengths, random: Random): number {
  const all = lengths.reduce((sum, [, share]) => sum + share, 0);
  let at = (random() / 2 ** 32) * all;
  for (const [length, share] of lengths) {
    if (at < share) return length;
    at -= share;
  }
  return lengths.at(-1)![0];
}

/** Destinations, and the lookups of a table for them. */
class Lookups {
  readonly #reader: RouteReader;
  readonly #family: 4 | 6;
  /** One or four of each destination. */
  readonly #words: Int32Array;

  constructor(table: RouteTable, family: 4 | 6, destination: () => IpPrefix["ip"]) {
    this.#reader = new RouteReader(table.sharedState());
    this.#family = family;
    const words = Array.from({ length: DESTINATIONS }, () => {
      const { w0, w1, w2, w3 } = destination();
      return family === 4 ? [w3] : [w0, w1, w2, w3];
    });
    this.#words = Int32Array.from(words.flat());
  }

  get run(): Case["run"] {
    const words = this.#words;
    const reader = this.#reader;
    if (this.#family === 4) {
      return (count) => {
        let kept = 0;
        for (let i = 0; i < count; i++) kept += reader.lookup4(words[i & (DESTINATIONS - 1)]!);
        return kept;
      };
    }
    return (count) => {
      let kept = 0;
      for (let i = 0; i < count; i++) {
        const w = (i & (DESTINATIONS - 1)) * 4;
        kept += reader.lookup6(words[w]!, words[w + 1]!, words[w + 2]!, words[w + 3]!);
      }
      return kept;
    };
  }

  /** With the choice of a next hop. */
  get runMultipath(): Case["run"] {
    const words = this.#words;
    const reader = this.#reader;
    return (count) => {
      let kept = 0;
      for (let i = 0; i < count; i++) {
        const hop = reader.lookup4(words[i & (DESTINATIONS - 1)]!);
        kept += hop >= FIRST_GROUP ? reader.pick(hop, i) : hop;
      }
      return kept;
    };
  }
}

/** A table of `size` routes, and their prefixes. `groups`: different sets of two next hops, 0: one. */
function makeTable(distribution: Distribution, size: number, groups = 0) {
  const { family, lengths, networks, networkBits } = distribution;
  const random = numbers();
  const table = new RouteTable(MAX_ROUTES);
  const within = Array.from({ length: networks }, () =>
    maskIp(randomWords(family, random), networkBits),
  );
  const prefixes: IpPrefix[] = [];
  while (prefixes.length < size) {
    const length = randomLength(lengths, random);
    const network = within[random() % networks];
    const address =
      network === undefined
        ? randomWords(family, random)
        : randomHost({ ip: network, length: networkBits, family }, random);
    const prefix = { ip: maskIp(address, length), length, family };
    if (table.get(prefix) !== undefined) continue;
    const remote = random() & 63;
    const other = { remote: 64 + (random() % (groups || 1)), weight: 1 };
    const hops = [{ remote, weight: 1 }, ...(groups === 0 ? [] : [other])];
    if (table.set({ prefix, hops }) === TABLE_OK) prefixes.push(prefix);
  }
  const anyRoute = () => prefixes[random() % size]!;
  return { table, random, anyRoute };
}

function* cases(): Generator<Case> {
  for (const distribution of DISTRIBUTIONS) {
    const { name, family } = distribution;
    for (const size of SIZES) {
      const { table, random, anyRoute } = makeTable(distribution, size);
      const of = `${size.toLocaleString("en")} routes, ${name}`;
      const hit = new Lookups(table, family, () => randomHost(anyRoute(), random));
      yield { name: `hit, ${of}`, run: hit.run };
      const anywhere = new Lookups(table, family, () => randomWords(family, random));
      yield { name: `anywhere, ${of}`, run: anywhere.run };
      if (family === 6) continue;
      const none = () => ipFromV4(random() >>> 1);
      yield { name: `no route, ${of}`, run: new Lookups(table, family, none).run };
    }
  }
  const { table, random, anyRoute } = makeTable(DISTRIBUTIONS[0]!, MULTIPATH_ROUTES, 8);
  const multipath = new Lookups(table, 4, () => randomHost(anyRoute(), random));
  const name = `hit and next hop, ${MULTIPATH_ROUTES.toLocaleString("en")} multipath routes`;
  yield { name, run: multipath.runMultipath };
}

export const family: Family = {
  about: "longest-prefix match of one address, random addresses, ns",
  measure: (report) => measureCases(cases(), report),
};
