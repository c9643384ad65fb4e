// The trie that workers read against the hash table that it is made from: thousands of prefixes that
// nest, part and share nodes, sparse and dense, and the memory that they leave behind.
import { describe, expect, it } from "vitest";
import { PrefixReader } from "../../../src/routes/prefix-reader.js";
import { PrefixTable } from "../../../src/routes/prefix-table.js";
import { TABLE_FULL, TABLE_OK } from "../../../src/shared-memory/table-result.js";
import { type IpAddress, type IpPrefix, ipFromV4, maskIp } from "../../../src/wire/ip-address.js";

/** Pseudo-random unsigned 32-bit numbers (xorshift32, Marsaglia). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/**
 * Random addresses; the first bits are the same ones, and `clustered` leaves few bits to differ so
 * that nodes fill up.
 */
function addresses(family: 4 | 6, clustered: boolean, random: () => number): () => IpAddress {
  const spread = clustered ? 0x000001ff : 0xffffffff;
  const word = (first: number) => (first ^ (random() & spread)) >>> 0;
  if (family === 4) return () => ipFromV4(word(0x0a140000));
  return () => ({ w0: 0x20010db8, w1: word(0), w2: random() & 1, w3: word(0x80000000) });
}

const LENGTHS = { 4: 33, 6: 129 } as const;

for (const family of [4, 6] as const) {
  for (const clustered of [true, false]) {
    describe(`PrefixTable, IPv${family}, ${clustered ? "few nodes" : "many nodes"}`, () => {
      const random = numbers(4711);
      const address = addresses(family, clustered, random);
      const prefix = (): IpPrefix => {
        // Mostly long ones, a few of every length.
        const any = random() % LENGTHS[family];
        const length = random() % 4 === 0 ? any : LENGTHS[family] - 1 - (random() % 16);
        return { ip: maskIp(address(), length), length, family };
      };
      const agree = (table: PrefixTable, reader: PrefixReader, ip: IpAddress) => {
        const { w0, w1, w2, w3 } = ip;
        const found = family === 4 ? reader.find4(w3) : reader.find6(w0, w1, w2, w3);
        return found === (table.match(ip)?.value ?? -1);
      };

      it("finds what the table has, as it fills and as it empties", () => {
        const table = new PrefixTable(family, 8192);
        const reader = new PrefixReader(structuredClone(table.sharedState()));
        const present = Array.from({ length: 4000 }, prefix);
        for (const [n, one] of present.entries()) {
          expect(table.set(one, random() % 1000)).toBe(TABLE_OK);
          if (!agree(table, reader, one.ip)) expect.fail(`after addition ${n}`);
        }
        for (let n = 0; n < 4000; n++) {
          if (!agree(table, reader, address())) expect.fail("another address");
        }
        for (const [n, one] of present.sort(() => (random() & 1) - 0.5).entries()) {
          table.delete(one);
          const near = present[(n + 1) % present.length]!.ip;
          if (!agree(table, reader, one.ip) || !agree(table, reader, near)) {
            expect.fail(`after removal ${n}`);
          }
        }
        expect(table.count).toBe(0);
        const words = new Int32Array(table.sharedState().trie);
        expect(words.subarray(1, 1 + 256 + 65_536).every((word) => word === 0)).toBe(true);
      });

      it("has room for all of its entries, whatever was there before", () => {
        const table = new PrefixTable(family, 64);
        const reader = new PrefixReader(table.sharedState());
        const present: IpPrefix[] = [];
        for (let n = 0; n < 20_000; n++) {
          const one = prefix();
          const full = table.count === 64 && table.get(one) < 0;
          expect(table.set(one, n)).toBe(full ? TABLE_FULL : TABLE_OK);
          if (!full) present.push(one);
          // Fills up and empties, more or less.
          const keep = n % 500 < 250 ? 64 : 5;
          while (table.count > keep) table.delete(present.splice(random() % present.length, 1)[0]!);
          if (full) table.delete(present.splice(random() % present.length, 1)[0]!);
          if (!agree(table, reader, one.ip)) expect.fail(`after change ${n}`);
        }
      });

      it("shows what was or what will be at every moment of a change", () => {
        const table = new PrefixTable(family, 64);
        const reader = new PrefixReader(table.sharedState());
        const present: IpPrefix[] = [];
        const { store } = Atomics;
        let between = () => {};
        const storeAndLook = (words: Int32Array, at: number, value: number) => {
          const stored = store(words, at, value);
          between();
          return stored;
        };
        Object.assign(Atomics, { store: storeAndLook });
        try {
          let moments = 0;
          for (let n = 0; n < 600; n++) {
            const watched = [...present.map(({ ip }) => ip), address()];
            const find = ({ w0, w1, w2, w3 }: IpAddress) =>
              family === 4 ? reader.find4(w3) : reader.find6(w0, w1, w2, w3);
            const before = watched.map(find);
            const seen: number[][] = [];
            between = () => seen.push(watched.map(find));
            const one = random() % 3 === 0 ? present[random() % present.length] : prefix();
            if (one === undefined || (present.length < 40 && random() % 2 === 0)) {
              const added = one ?? prefix();
              table.set(added, n);
              present.push(added);
            } else {
              const [gone] = present.splice(random() % Math.max(1, present.length), 1);
              if (gone !== undefined) table.delete(gone);
            }
            between = () => {};
            const after = watched.map(find);
            for (const [i, moment] of seen.entries()) {
              for (const [j, value] of moment.entries()) {
                if (value === before[j] || value === after[j]) continue;
                expect.fail(`change ${n}, store ${i}: ${value}, not ${before[j]} or ${after[j]}`);
              }
            }
            moments += seen.length;
          }
          expect(moments).toBeGreaterThan(600);
        } finally {
          Object.assign(Atomics, { store });
        }
      });
    });
  }
}
