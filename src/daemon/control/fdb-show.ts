// `culvert fdb show`: FDB entries as lines, one for each remote of an entry. In pages: a table may
// have a million entries, and neither an answer nor the time that one takes may grow with it.

import type { FdbEntry as FdbLine, FdbPage, FdbPageQuery, FdbQuery } from "../../control/target.js";
import { CulvertError } from "../../errors.js";
import { FDB_EXTERN, FDB_ROUTER, type FdbEntry } from "../../fdb/fdb.js";
import type { RemoteEntry } from "../../remotes/remote-rows.js";
import { monotonicSeconds } from "../../shared-memory/clock.js";
import { formatIp, isMulticastIp } from "../../wire/ip-address.js";
import { formatMac, isListMac, type Mac } from "../../wire/mac.js";
import { macOf } from "../addresses.js";
import type { VxlanRuntime } from "../tunnel.js";
import { type ControlContext, vxlanTunnels } from "./context.js";
import { fdbStateOf, remoteFilter } from "./fdb.js";

/** Lines after which a page ends; the list of the entry that reaches it comes whole. */
const PAGE_LINES = 2000;
/** Slots of tables that a page looks through, some milliseconds. */
const PAGE_SLOTS = 65_536;
/** Lines that `fdbShow` answers at once. */
const SHOW_LINES = 20_000;
/** A cursor is a tunnel and a slot in its table; no table has that many slots. */
const SLOT_UNIT = 2 ** 24;

/** Everything at once. Throws CULVERT_TOO_MANY when that is too much. */
export function fdbShow(context: ControlContext, query: FdbQuery): FdbLine[] {
  const lines: FdbLine[] = [];
  let next: number | undefined = 0;
  while (next !== undefined) {
    const page: FdbPage = fdbPage(context, { ...query, from: next });
    lines.push(...page.entries);
    next = page.next;
    if (lines.length > SHOW_LINES) {
      throw new CulvertError("CULVERT_TOO_MANY", `more than ${SHOW_LINES} entries match`, {
        hint: "read them in pages: GET /v1/fdb/page",
      });
    }
  }
  return lines;
}

export function fdbPage(context: ControlContext, query: FdbPageQuery): FdbPage {
  const tunnels = vxlanTunnels(context, query.dev);
  const lister = new Lister(context, query);
  const from = query.from ?? 0;
  let slot = from % SLOT_UNIT;
  let slots = PAGE_SLOTS;
  for (let i = Math.floor(from / SLOT_UNIT); i < tunnels.length; i++) {
    const tunnel = tunnels[i];
    const next = lister.list(tunnel, slot, slots);
    if (next >= 0) return { entries: lister.lines, next: i * SLOT_UNIT + next };
    slots -= tunnel.fdb.count;
    slot = 0;
    const last = i + 1 === tunnels.length;
    if (!last && (lister.isFull || slots <= 0)) {
      return { entries: lister.lines, next: (i + 1) * SLOT_UNIT };
    }
  }
  return { entries: lister.lines };
}

type Place = Pick<FdbLine, "dst" | "port" | "vni" | "via">;

class Lister {
  readonly lines: FdbLine[] = [];
  readonly #context: ControlContext;
  readonly #query: FdbQuery;
  readonly #mac: Mac | undefined;
  readonly #remoteMatches: (row: number) => boolean;
  readonly #now_s = monotonicSeconds();
  /** What lines say of a remote, by row: many entries share few remotes. */
  readonly #places = new Map<number, Place>();

  constructor(context: ControlContext, query: FdbQuery) {
    this.#context = context;
    this.#query = query;
    this.#mac = query.mac === undefined ? undefined : macOf(query.mac);
    this.#remoteMatches = remoteFilter(context, query);
  }

  get isFull(): boolean {
    return this.lines.length >= PAGE_LINES;
  }

  /** @returns the slot to go on from, or -1: nothing of this tunnel is left */
  list(tunnel: VxlanRuntime, from: number, slots: number): number {
    if (this.#mac !== undefined) {
      const entry = tunnel.fdb.get(this.#mac.hi, this.#mac.lo);
      if (entry !== undefined) this.#add(tunnel, entry);
      return -1;
    }
    // Most tables are nearly empty: having seen every entry, there is no need to see every slot.
    let left = from === 0 ? tunnel.fdb.count : -1;
    if (left === 0) return -1;
    const next = tunnel.fdb.scan(from, slots, (entry) => {
      this.#add(tunnel, entry);
      left--;
      return left !== 0 && !this.isFull;
    });
    return left === 0 ? -1 : next;
  }

  #add(tunnel: VxlanRuntime, entry: FdbEntry): void {
    const { states } = this.#query;
    if (states?.includes(fdbStateOf(entry.flags)) === false) return;
    const listed = isListMac(entry.hi, entry.lo);
    for (const row of listed ? tunnel.flood.list(entry.remote) : [entry.remote]) {
      if (this.#remoteMatches(row)) this.lines.push(this.#line(tunnel, entry, row));
    }
  }

  #line(tunnel: VxlanRuntime, entry: FdbEntry, row: number): FdbLine {
    const age_s = Math.max(0, this.#now_s - entry.updated_s);
    return {
      dev: tunnel.config.name,
      mac: formatMac(entry.hi, entry.lo),
      ...this.#place(tunnel, row),
      state: fdbStateOf(entry.flags),
      ...((entry.flags & FDB_ROUTER) === 0 ? {} : { router: true }),
      ...((entry.flags & FDB_EXTERN) === 0 ? {} : { extern_learn: true }),
      used_s: age_s,
      updated_s: age_s,
    };
  }

  #place({ config }: VxlanRuntime, row: number): Place {
    const known = this.#places.get(row);
    if (known !== undefined) return known;
    const remote = this.#context.remotes.get(row);
    const place = remote === undefined ? { dst: "" } : placeOf(config, remote);
    this.#places.set(row, place);
    return place;
  }
}

function placeOf(config: VxlanRuntime["config"], { address, port, vni }: RemoteEntry): Place {
  const [w0, w1, w2, w3] = address;
  return {
    dst: formatIp(w0, w1, w2, w3),
    ...(port === config.port ? {} : { port }),
    ...(vni === config.vni ? {} : { vni }),
    ...(isMulticastIp({ w0, w1, w2, w3 }) ? { via: config.dev } : {}),
  };
}
