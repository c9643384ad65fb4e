// Whatever is done to an FDB by control and by learning, it holds what a plain Map says by the
// kernel's rules, and remotes have exactly the references of those who hold them.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CulvertError } from "../../src/errors.js";
import { FDB_PERMANENT, FDB_STATIC } from "../../src/fdb/fdb.js";
import { formatIp } from "../../src/wire/ip-address.js";
import { isListMac, type Mac } from "../../src/wire/mac.js";
import { controlContext } from "../unit/daemon/control-context.js";
import { ip } from "../unit/forwarding/frames.js";

const LIMIT = 6;
const CONFIG = `
tunnels:
  - { name: vxlan100, type: vxlan, vni: 100, local: 10.57.4.20, max_entries: ${LIMIT} }
  - { name: ipip0, type: ipip, local: 10.57.4.20, remote: any }
`;
const MACS: readonly Mac[] = [
  ...[0, 1, 2, 3].map((lo) => ({ hi: 0x0200, lo })),
  ...[1, 2].map((lo) => ({ hi: 0x0100, lo })),
  ...[
    { hi: 0, lo: 0 },
    { hi: 0xffff, lo: 0xffffffff },
  ],
];
const HOSTS = ["10.57.4.21", "10.57.4.22", "10.57.4.23"];
const FLAGS = [FDB_PERMANENT, FDB_STATIC, 0];
const NOW_S = 1000;

const step = fc.record({
  op: fc.constantFrom(
    ...(["add", "append", "replace", "del", "delAll", "learn", "sweep"] as const),
  ),
  mac: fc.constantFrom(...MACS),
  host: fc.constantFrom(...HOSTS),
  flags: fc.constantFrom(...FLAGS),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Modelled {
  remotes: string[];
  flags: number;
  learned: boolean;
}

/** What the kernel does; false: it refuses. */
function apply(model: Map<string, Modelled>, key: string, listed: boolean, one: Step): boolean {
  const { op, host, flags } = one;
  const known = model.get(key);
  if (op === "del" || op === "delAll") {
    if (known === undefined) return false;
    const left = op === "del" ? known.remotes.filter((other) => other !== host) : [];
    if (left.length === 0) model.delete(key);
    else known.remotes = left;
    return true;
  }
  if (op === "append" && !listed) return false;
  if (op === "replace" && listed) return false;
  if (op === "add" && known !== undefined) return false;
  if (known === undefined) {
    if (model.size >= LIMIT) return false;
    model.set(key, { remotes: [host], flags, learned: false });
    return true;
  }
  const others = listed ? known.remotes : [];
  const remotes = others.includes(host) ? others : [...others, host];
  model.set(key, { remotes, flags, learned: false });
  return true;
}

/** What was learned goes with the last one who holds its remote. */
function forgetWithHolders(model: Map<string, Modelled>): void {
  const given = [...model.values()].filter(({ learned }) => !learned);
  const held = new Set(given.flatMap(({ remotes }) => remotes));
  for (const [key, { learned, remotes }] of model) {
    if (learned && !held.has(remotes[0]!)) model.delete(key);
  }
}

describe("FDB entries", () => {
  it("follow the kernel's rules and hold their remotes", () => {
    const check = fc.property(fc.array(step, { minLength: 40, maxLength: 120 }), (steps) => {
      const context = controlContext(CONFIG);
      const { vxlan, remotes, fdbEntries } = context;
      const model = new Map<string, Modelled>();
      for (const one of steps) {
        const { op, mac, host, flags } = one;
        const listed = isListMac(mac.hi, mac.lo);
        const key = `${mac.hi} ${mac.lo}`;
        const remote = { dst: ip(host), port: 4789, vni: 100 };
        if (op === "sweep") {
          fdbEntries.sweep(vxlan, NOW_S, 0);
          forgetWithHolders(model);
        } else if (op === "learn") {
          const { w0, w1, w2, w3 } = ip(host);
          const row = remotes.findSender(0, w0, w1, w2, w3);
          const known = model.get(key);
          if (listed || row < 0) continue;
          vxlan.fdb.learn(mac.hi, mac.lo, row, NOW_S);
          const fixed = known !== undefined && known.flags !== 0 && !known.learned;
          const full = known === undefined && model.size >= LIMIT;
          const same = known?.remotes[0] === host;
          if (fixed || full || same) continue;
          model.set(key, { remotes: [host], flags: 0, learned: true });
        } else {
          let done = true;
          try {
            if (op === "del") fdbEntries.change(vxlan, { op, mac, remote });
            else if (op === "delAll") fdbEntries.change(vxlan, { op: "del", mac });
            else fdbEntries.change(vxlan, { op, mac, remote, flags });
          } catch (error) {
            if (!(error instanceof CulvertError)) throw error;
            done = false;
          }
          expect(done).toBe(apply(model, key, listed, one));
          fdbEntries.sweep(vxlan, NOW_S, 0);
          forgetWithHolders(model);
        }
        const entries = vxlan.fdb.list().map((entry) => {
          const list = isListMac(entry.hi, entry.lo);
          const rows = list ? vxlan.flood.list(entry.remote) : [entry.remote];
          const hosts = rows.map((row) => formatIp(...remotes.get(row)!.address));
          return [`${entry.hi} ${entry.lo}`, hosts] as const;
        });
        expect(new Map(entries)).toEqual(
          new Map([...model].map(([name, entry]) => [name, entry.remotes])),
        );
      }
      fdbEntries.sweep(vxlan, NOW_S, 0);
      const wanted = [...model.values()]
        .filter(({ learned }) => !learned)
        .flatMap((entry) => entry.remotes);
      for (const host of HOSTS) {
        const row = remotes.list(0).find(({ address }) => formatIp(...address) === host);
        const holders = wanted.filter((other) => other === host).length;
        expect(row?.references ?? 0).toBe(holders);
      }
    });
    fc.assert(check, { numRuns: 60 });
  });
});
