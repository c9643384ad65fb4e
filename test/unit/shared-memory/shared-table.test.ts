// The hash table under all tables: limits, chains under churn, what readers and the next writer
// make of a writer that died inside a slot.
import { describe, expect, it } from "vitest";
import { SharedTable } from "../../../src/shared-memory/shared-table.js";
import { EMPTY, STATE_MASK, strideBits } from "../../../src/shared-memory/slot-layout.js";

/** Slots that the longest unsuccessful lookup would visit now: how healthy the chains are. */
function longestChain(table: SharedTable): number {
  const state = table.sharedState();
  const slots = new Int32Array(state.slots);
  const isEmpty = (slot: number) => (slots[slot << strideBits(state)]! & STATE_MASK) === EMPTY;
  let longest = 0;
  let chain = 0;
  for (let step = 0; step < 2 * table.capacity && longest < table.capacity; step++) {
    chain = isEmpty(step % table.capacity) ? 0 : chain + 1;
    longest = Math.max(longest, chain);
  }
  return longest;
}

const HEADER_HOLDER = 0;
const HEADER_COUNT = 3;
const WRITING = 1;

function create(maxEntries: number): SharedTable {
  return SharedTable.create({ keyWords: 2, valueWords: 2, maxEntries });
}

function find(table: SharedTable, key: number): number {
  table.key[0] = key;
  return table.find();
}

function put(table: SharedTable, key: number, value: number): boolean {
  expect(find(table, key)).toBe(-1);
  table.value.set([value, ~value]);
  return table.insert();
}

describe("SharedTable", () => {
  it("finds what was inserted and nothing else", () => {
    const table = create(100);
    for (let key = 0; key < 100; key++) expect(put(table, key * 7919, key)).toBe(true);
    for (let key = 0; key < 100; key++) {
      expect(find(table, key * 7919)).toBeGreaterThanOrEqual(0);
      expect([...table.value]).toEqual([key, ~key]);
      expect(find(table, key * 7919 + 1)).toBe(-1);
    }
    expect(table.count).toBe(100);
  });

  it("has room for exactly maxEntries, also for one", () => {
    for (const max of [1, 2, 3, 64, 1000]) {
      const table = create(max);
      expect(table.capacity).toBeGreaterThanOrEqual(2 * max);
      expect(table.capacity & (table.capacity - 1)).toBe(0);
      for (let key = 0; key < max; key++) expect(put(table, key, 1)).toBe(true);
      expect(put(table, max, 1)).toBe(false);
      expect(table.count).toBe(max);
      table.remove(find(table, 0));
      expect(put(table, max, 1)).toBe(true);
    }
  });

  it("takes 32-bit words signed or unsigned", () => {
    const table = create(4);
    put(table, 0xfffffffe, 3);
    expect(find(table, -2)).toBe(find(table, 0xfffffffe));
    expect(find(table, -2)).toBeGreaterThanOrEqual(0);
  });

  it("shows the same entries to an attached instance", () => {
    const table = create(8);
    put(table, 11, 5);
    const attached = SharedTable.attach(structuredClone(table.sharedState()));
    expect(find(attached, 11)).toBe(find(table, 11));
    expect([...attached.value]).toEqual([5, ~5]);
  });

  it("is empty again, without a tombstone left, when everything was removed", () => {
    const table = create(512);
    for (let key = 0; key < 512; key++) put(table, key, key);
    for (let key = 511; key >= 0; key--) table.remove(find(table, key));
    expect(table.count).toBe(0);
    expect(longestChain(table)).toBe(0);
  });

  it("keeps its chains short over a million insertions and deletions at the full limit", () => {
    const table = create(1024);
    let state = 1;
    const random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return state;
    };
    const live = new Int32Array(1024);
    for (let i = 0; i < live.length; i++) {
      live[i] = random();
      table.key[0] = live[i];
      table.insert();
    }
    const longest: number[] = [];
    let missing = 0;
    for (let cycle = 0; cycle < 1_000_000; cycle++) {
      const victim = (random() >>> 8) & 1023;
      table.key[0] = live[victim];
      const slot = table.find();
      if (slot < 0) missing++;
      else table.remove(slot);
      live[victim] = random();
      table.key[0] = live[victim];
      if (table.find() < 0) table.insert();
      if (cycle % 5000 === 0) longest.push(longestChain(table));
    }
    expect(missing).toBe(0);
    expect(table.count).toBe(1024);
    // 20 slots in a fresh table, some 50 in one that lives: reached after some thousand cycles and
    // kept from then on.
    const mean = (looks: number[]) => looks.reduce((sum, look) => sum + look, 0) / looks.length;
    const early = mean(longest.slice(20, 100));
    const late = mean(longest.slice(100));
    expect(early).toBeLessThan(70);
    expect(late).toBeLessThan(70);
    expect(late).toBeLessThan(1.3 * early);
  });

  it("removes what matches, stretch by stretch, and frees the lock", () => {
    const table = create(4096);
    for (let key = 0; key < 4096; key++) put(table, key, key);
    expect(table.removeWhere(() => table.value[0] % 4 === 0)).toBe(1024);
    expect(table.count).toBe(3072);
    expect(find(table, 8)).toBe(-1);
    expect(find(table, 9)).toBeGreaterThanOrEqual(0);
    expect(table.tryLock()).toBe(true);
  });

  it("tells where entries may be, and skips long stretches without any", () => {
    const table = create(65_536);
    const used = () => {
      const slots: number[] = [];
      let looks = 0;
      for (let slot = table.usedFrom(0); slot < table.capacity; slot = table.usedFrom(slot + 1)) {
        looks++;
        if (table.readSlot(slot)) slots.push(table.key[0]);
      }
      return { keys: slots.sort((a, b) => a - b), looks };
    };
    expect(used()).toEqual({ keys: [], looks: 0 });
    put(table, 7, 7);
    put(table, 8, 8);
    expect(used().keys).toEqual([7, 8]);
    expect(used().looks).toBeLessThanOrEqual(2 * 1024);
    expect(table.removeWhere(() => table.value[0] === 7)).toBe(1);
    expect(used().keys).toEqual([8]);
    for (let key = 100; key < 20_100; key++) put(table, key, key);
    expect(used().keys).toHaveLength(20_001);
    expect(table.removeWhere(() => true)).toBe(20_001);
    expect(used()).toEqual({ keys: [], looks: 0 });
  });
});

describe("a packed SharedTable", () => {
  const packed = (valueWords: number) =>
    SharedTable.create({ keyWords: 2, valueWords, packed: true, maxEntries: 64 });

  it("keeps halves that share a word apart, at their limits too", () => {
    const table = packed(2);
    const halves = [0, 1, 0x7fff, 0x8000, 0xffff];
    const entries = halves.flatMap((key) => halves.map((value) => ({ key, value })));
    for (const { key, value } of entries) {
      table.key.set([key, value]);
      table.value.set([value, ~key]);
      expect(table.insert()).toBe(true);
    }
    for (const { key, value } of entries) {
      table.key.set([key, value]);
      const slot = table.find();
      expect([...table.value]).toEqual([value, ~key]);
      table.value[0] = value ^ 0xffff;
      table.update(slot);
      table.exchangeWord(slot, 1, table.value[1]!, key);
      table.key.fill(0);
      expect(table.readSlot(slot)).toBe(true);
      expect([...table.key, ...table.value]).toEqual([key, value, value ^ 0xffff, key]);
    }
  });

  it("has slots of 16 bytes for two words each", () => {
    const { slots } = packed(2).sharedState();
    expect(slots.byteLength).toBe(128 * 16);
  });

  it("keeps its chains when entries go: their place goes by the key alone", () => {
    const table = packed(1);
    const put = (key: number) => {
      table.key.set([key & 0xff, key]);
      table.value[0] = key;
      table.insert();
    };
    const find = (key: number) => {
      table.key.set([key & 0xff, key]);
      return table.find();
    };
    for (let round = 0; round < 100; round++) {
      for (let key = 0; key < 64; key++) put(64 * round + key);
      for (let key = 0; key < 64; key += 2) table.remove(find(64 * round + key));
      for (let key = 1; key < 64; key += 2) {
        expect(find(64 * round + key)).toBeGreaterThanOrEqual(0);
        table.remove(find(64 * round + key));
      }
    }
    expect(table.count).toBe(0);
    expect(longestChain(table)).toBe(0);
  });
});

describe("SharedTable after a writer died inside a slot", () => {
  function broken() {
    const table = create(16);
    for (let key = 0; key < 8; key++) put(table, key, key);
    const state = table.sharedState();
    const header = new Int32Array(state.header);
    const slots = new Int32Array(state.slots);
    const slot = find(table, 3);
    const head = slot * (slots.length / table.capacity);
    slots[head] |= WRITING;
    header[HEADER_HOLDER] = 12345;
    header[HEADER_COUNT] = 99;
    return { table, slot };
  }

  it("misses that entry only and never hangs", () => {
    const { table, slot } = broken();
    expect(find(table, 3)).toBe(-1);
    expect(table.readSlot(slot)).toBe(false);
    for (const key of [0, 1, 2, 4, 5, 6, 7]) expect(find(table, key)).toBeGreaterThanOrEqual(0);
    expect(table.tryLock()).toBe(false);
  });

  it("is repaired by the next writer", () => {
    const { table } = broken();
    expect(table.lock()).toBe(true);
    expect(table.count).toBe(7);
    expect(put(table, 3, 33)).toBe(true);
    table.unlock();
    expect(find(table, 3)).toBeGreaterThanOrEqual(0);
    expect(table.value[0]).toBe(33);
    expect(table.lock()).toBe(false);
    table.unlock();
    expect(table.removeWhere(() => true)).toBe(8);
    expect(table.usedFrom(0)).toBe(table.capacity);
  });
});
