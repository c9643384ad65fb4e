// The one place where the main thread makes, changes and removes entries of FDBs: by the rules of
// the kernel (drivers/net/vxlan/vxlan_core.c, vxlan_fdb_update and __vxlan_fdb_delete), with the
// references of remotes kept in step, and with everybody told who listens. It does not know where a
// wish comes from (config, control socket), nor how it was spelled.
//
// Theory of operation. Who made an entry holds a reference to its remote, or to every member of its
// list. Static and permanent entries give it back when they go. A dynamic one may be moved by a
// worker at any time, which can give nothing back: what such entries hold stands in a map, and the
// next sweep gives back what they no longer use.

import { CulvertError, ExitStatus } from "../errors.js";
import { FDB_EXTERN, FDB_FIXED, FDB_KIND, FDB_LEARNED, type FdbEntry } from "../fdb/fdb.js";
import { DEFAULT_LIST } from "../fdb/flood-lists.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { monotonicSeconds } from "../shared-memory/clock.js";
import { MAX_FLOOD_LISTS, MAX_FLOOD_MEMBERS, MAX_FLOOD_REMOTES } from "../shared-memory/limits.js";
import { TABLE_EXISTS, TABLE_FULL, TABLE_OK } from "../shared-memory/table-result.js";
import type { IpAddress } from "../wire/ip-address.js";
import { formatMac, isListMac, isZeroMac, type Mac } from "../wire/mac.js";
import type { Peers } from "./peers.js";
import { fdbTableChange, type TableChanges, type TableOperation } from "./table-changes.js";
import type { VxlanRuntime } from "./tunnel.js";

export interface FdbRemote {
  readonly dst: IpAddress;
  readonly port: number;
  readonly vni: number;
  /** Policy group of frames to it, where it is not the tunnel's. */
  readonly gbp?: number | undefined;
}

/** What `bridge fdb OP` can say of an entry. */
export type FdbWish =
  | {
      readonly op: "add" | "append" | "replace";
      readonly mac: Mac;
      readonly remote: FdbRemote;
      /** FDB_STATIC, FDB_PERMANENT or none (dynamic); FDB_ROUTER, FDB_EXTERN. */
      readonly flags: number;
    }
  /** Without a remote: the whole entry. */
  | { readonly op: "del"; readonly mac: Mac; readonly remote?: FdbRemote | undefined };

type Making = Exclude<FdbWish, { op: "del" }>;

/** Which entries `flush` takes: `entry` may match and, of a list, those members that do. */
export interface FdbFlushFilter {
  readonly entry: (entry: FdbEntry) => boolean;
  readonly remote: (row: number) => boolean;
}

const MAC_HI_UNIT = 2 ** 32;
const keyOf = ({ hi, lo }: Mac): number => hi * MAC_HI_UNIT + lo;
const macOfKey = (key: number): Mac => ({ hi: Math.floor(key / MAC_HI_UNIT), lo: key >>> 0 });

export class FdbEntries {
  readonly #remotes: RemoteTable;
  readonly #peers: Peers;
  readonly #changes: TableChanges;
  /** By tunnel and MAC: the row that a dynamic unicast entry holds. */
  readonly #dynamic = new Map<number, Map<number, number>>();

  constructor(remotes: RemoteTable, peers: Peers, changes: TableChanges) {
    this.#remotes = remotes;
    this.#peers = peers;
    this.#changes = changes;
  }

  /**
   * Does as the kernel does. Throws CULVERT_EXISTS, CULVERT_NOT_FOUND, CULVERT_TABLE_FULL,
   * CULVERT_FDB_REFUSED; nothing has changed then.
   */
  change(tunnel: VxlanRuntime, wish: FdbWish): void {
    const { hi, lo } = wish.mac;
    const entry = tunnel.fdb.get(hi, lo);
    if (wish.op === "del") return this.#del(tunnel, wish.mac, entry, wish.remote);
    const listed = isListMac(hi, lo);
    requirePossible(tunnel, wish, listed, entry !== undefined);
    if (entry === undefined) this.#create(tunnel, wish, listed);
    else if (listed) this.#append(tunnel, wish, entry);
    else this.#replace(tunnel, wish, entry);
  }

  /** @returns how many entries or members of a list went */
  flush(tunnel: VxlanRuntime, filter: FdbFlushFilter): number {
    const held: number[] = [];
    const lists: FdbEntry[] = [];
    let removed = tunnel.fdb.flush(
      (entry) => {
        if (!filter.entry(entry)) return false;
        if (!isListMac(entry.hi, entry.lo)) return filter.remote(entry.remote);
        lists.push(entry);
        return false;
      },
      (entry) => this.#gone(tunnel, entry, held),
    );
    for (const entry of lists) {
      const members = tunnel.flood.list(entry.remote);
      const wanted = members.filter(filter.remote);
      removed += wanted.length;
      if (wanted.length === members.length) this.#remove(tunnel, entry, held);
      else for (const row of wanted) this.#removeMember(tunnel, entry, row, held);
    }
    this.#peers.releaseVxlan(tunnel, held);
    return removed;
  }

  /** Forgets what was not heard of for `ageing_s` (0: never), and what moved entries still hold. */
  sweep(tunnel: VxlanRuntime, now_s: number, ageing_s: number): void {
    const held: number[] = [];
    tunnel.fdb.age(now_s, ageing_s, (entry) => {
      this.#gone(tunnel, entry, held, Math.max(0, now_s - entry.updated_s));
    });
    const dynamic = this.#dynamic.get(tunnel.index);
    for (const [key, row] of dynamic ?? []) {
      const { hi, lo } = macOfKey(key);
      const entry = tunnel.fdb.get(hi, lo);
      if (entry?.remote === row && (entry.flags & FDB_KIND) === 0) continue;
      dynamic?.delete(key);
      held.push(row);
    }
    if (held.length > 0) this.#peers.releaseVxlan(tunnel, held);
  }

  #create(tunnel: VxlanRuntime, { mac, remote, flags }: Making, listed: boolean): void {
    const { fdb, flood } = tunnel;
    requireRoom(tunnel);
    const now_s = monotonicSeconds();
    const row = this.#acquire(tunnel, remote);
    if (!listed) {
      const result = fdb.add(mac.hi, mac.lo, row, flags, now_s);
      // A worker may have been faster.
      if (result !== TABLE_OK) this.#peers.releaseVxlan(tunnel, [row]);
      if (result === TABLE_EXISTS) throw exists(tunnel, mac, false);
      if (result === TABLE_FULL) throw tableFull(tunnel);
      this.#hold(tunnel, mac, row, flags);
    } else {
      const list = isZeroMac(mac.hi, mac.lo) ? DEFAULT_LIST : flood.allocate();
      if (list < 0 || flood.append(row, list) !== TABLE_OK) {
        this.#peers.releaseVxlan(tunnel, [row]);
        throw listsFull(tunnel, list < 0);
      }
      // The members first: a worker that finds the entry finds them.
      if (fdb.add(mac.hi, mac.lo, list, flags, now_s) !== TABLE_OK) {
        flood.clear(list);
        this.#peers.releaseVxlan(tunnel, [row]);
        throw tableFull(tunnel);
      }
    }
    this.#tell("new", tunnel, { ...mac, flags }, row);
  }

  #append(tunnel: VxlanRuntime, { mac, remote, flags }: Making, entry: FdbEntry): void {
    const row = this.#acquire(tunnel, remote);
    const result = tunnel.flood.append(row, entry.remote);
    if (result !== TABLE_OK) this.#peers.releaseVxlan(tunnel, [row]);
    if (result === TABLE_FULL) throw listFull(tunnel, mac);
    const kept = keptFlags(entry, flags);
    if (result === TABLE_EXISTS && kept === entry.flags) return;
    tunnel.fdb.replace(mac.hi, mac.lo, entry.remote, kept, monotonicSeconds());
    this.#tell("new", tunnel, { ...mac, flags: kept }, row);
  }

  #replace(tunnel: VxlanRuntime, { mac, remote, flags }: Making, entry: FdbEntry): void {
    const row = this.#acquire(tunnel, remote);
    const kept = keptFlags(entry, flags);
    const held: number[] = [];
    let changed = true;
    const result = tunnel.fdb.replace(mac.hi, mac.lo, row, kept, monotonicSeconds(), (old) => {
      changed = old.remote !== row || old.flags !== kept;
      this.#takeHeld(tunnel, old, held);
    });
    if (result === TABLE_FULL) {
      this.#peers.releaseVxlan(tunnel, [row]);
      throw tableFull(tunnel);
    }
    this.#hold(tunnel, mac, row, kept);
    if (changed) this.#tell("new", tunnel, { ...mac, flags: kept }, row);
    this.#peers.releaseVxlan(tunnel, held);
  }

  /** A remote that the entry has not is no error for the kernel: nothing is done. */
  #del(
    tunnel: VxlanRuntime,
    mac: Mac,
    entry: FdbEntry | undefined,
    remote: FdbRemote | undefined,
  ): void {
    if (entry === undefined) throw notFound(tunnel, mac);
    const held: number[] = [];
    if (remote === undefined) {
      this.#remove(tunnel, entry, held);
    } else {
      const row = this.#find(tunnel, remote);
      const listed = isListMac(mac.hi, mac.lo);
      const rows = listed ? tunnel.flood.list(entry.remote) : [entry.remote];
      if (!rows.includes(row)) return;
      if (rows.length > 1) this.#removeMember(tunnel, entry, row, held);
      else this.#remove(tunnel, entry, held);
    }
    this.#peers.releaseVxlan(tunnel, held);
  }

  /** @param held gets the rows that nobody holds for the entry any more */
  #remove(tunnel: VxlanRuntime, { hi, lo }: Mac, held: number[]): void {
    tunnel.fdb.del(hi, lo, (old) => this.#gone(tunnel, old, held));
  }

  #removeMember(tunnel: VxlanRuntime, entry: FdbEntry, row: number, held: number[]): void {
    if (tunnel.flood.remove(row, entry.remote) !== TABLE_OK) return;
    held.push(row);
    this.#tell("del", tunnel, entry, row);
  }

  /** An entry is out of the FDB: so is what it led to. @param idle_s when it was aged out */
  #gone(tunnel: VxlanRuntime, entry: FdbEntry, held: number[], idle_s?: number): void {
    if (!isListMac(entry.hi, entry.lo)) {
      this.#takeHeld(tunnel, entry, held);
      return this.#tell("del", tunnel, entry, entry.remote, idle_s);
    }
    const rows = tunnel.flood.list(entry.remote);
    tunnel.flood.clear(entry.remote);
    for (const row of rows) {
      held.push(row);
      this.#tell("del", tunnel, entry, row);
    }
  }

  /**
   * What the MAC's entry held before it was moved and forgotten, without a sweep since, goes back.
   */
  #hold(tunnel: VxlanRuntime, mac: Mac, row: number, flags: number): void {
    if ((flags & FDB_KIND) !== 0) return;
    const ofTunnel = this.#dynamic.get(tunnel.index) ?? new Map<number, number>();
    this.#dynamic.set(tunnel.index, ofTunnel);
    const before = ofTunnel.get(keyOf(mac));
    ofTunnel.set(keyOf(mac), row);
    if (before !== undefined) this.#peers.releaseVxlan(tunnel, [before]);
  }

  /** Adds to `held` what a unicast entry, as it was, had a reference to. */
  #takeHeld({ index }: VxlanRuntime, old: FdbEntry, held: number[]): void {
    if ((old.flags & FDB_FIXED) !== 0) {
      held.push(old.remote);
      return;
    }
    const dynamic = this.#dynamic.get(index);
    const row = dynamic?.get(keyOf(old));
    if (row === undefined) return;
    dynamic?.delete(keyOf(old));
    held.push(row);
  }

  #acquire({ index }: VxlanRuntime, { dst, port, vni, gbp }: FdbRemote): number {
    const row = this.#peers.acquireAddress(index, dst, port, vni);
    if (gbp !== undefined) this.#peers.setGroup(row, gbp);
    return row;
  }

  #find({ index }: VxlanRuntime, { dst, port, vni }: FdbRemote): number {
    const { w0, w1, w2, w3 } = dst;
    return this.#remotes.find(index, w0, w1, w2, w3, port, vni);
  }

  #tell(
    op: TableOperation,
    tunnel: VxlanRuntime,
    entry: Pick<FdbEntry, "hi" | "lo" | "flags">,
    row: number,
    idle_s?: number,
  ): void {
    if (!this.#changes.heard) return;
    this.#changes.fdb(fdbTableChange(op, tunnel, entry, row, this.#remotes, idle_s));
  }
}

/** What a controller learned does not take over the state of an entry that a user gave. */
function keptFlags(entry: FdbEntry, flags: number): number {
  const given = (entry.flags & FDB_LEARNED) === 0;
  return (flags & FDB_EXTERN) !== 0 && given ? entry.flags : flags;
}

function requirePossible(
  tunnel: VxlanRuntime,
  { op, mac }: Making,
  listed: boolean,
  there: boolean,
): void {
  if (op === "append" && !listed) {
    throw fdbRefused("append needs an all-zero or multicast MAC", {
      hint: "an ordinary MAC has one remote: use `replace` to point it to another",
    });
  }
  if (op === "replace" && listed) {
    throw fdbRefused("replace needs a unicast MAC: cannot replace non-unicast fdb entries", {
      hint: "all-zero and multicast MACs have lists of remotes: use `append` and `del`",
    });
  }
  if (op === "add" && there) throw exists(tunnel, mac, listed);
}

export function fdbRefused(message: string, { hint }: { hint: string }): CulvertError {
  return new CulvertError("CULVERT_FDB_REFUSED", message, { hint, exit: ExitStatus.usage });
}

function exists({ config }: VxlanRuntime, { hi, lo }: Mac, listed: boolean): CulvertError {
  const what = `File exists: ${config.name} has an entry for ${formatMac(hi, lo)} already`;
  const hint = listed ? "use `append` to add a remote to its list" : "use `replace` to change it";
  return new CulvertError("CULVERT_EXISTS", what, { hint });
}

function notFound({ config: { name } }: VxlanRuntime, { hi, lo }: Mac): CulvertError {
  const what = `No such file or directory: ${name} has no entry for ${formatMac(hi, lo)}`;
  return new CulvertError("CULVERT_NOT_FOUND", what, {
    hint: `see \`culvert fdb show dev ${name}\``,
  });
}

const full = (message: string, hint: string): CulvertError =>
  new CulvertError("CULVERT_TABLE_FULL", `No space left on device: ${message}`, { hint });

function requireRoom(tunnel: VxlanRuntime): void {
  if (tunnel.fdb.count >= tunnel.fdb.maxEntries) throw tableFull(tunnel);
}

function tableFull({ config: { name, max_entries } }: VxlanRuntime): CulvertError {
  const hint = "raise `max_entries` of the tunnel, or remove entries: culvert fdb flush";
  return full(`the FDB of ${name} is full: ${max_entries} entries`, hint);
}

function listFull({ config }: VxlanRuntime, { hi, lo }: Mac): CulvertError {
  const limits = `${MAX_FLOOD_REMOTES} remotes, ${MAX_FLOOD_MEMBERS} with all lists of the tunnel`;
  const what = `the flood list of ${formatMac(hi, lo)} on ${config.name} is full: ${limits}`;
  return full(what, "remove some of them first");
}

function listsFull({ config }: VxlanRuntime, numbers: boolean): CulvertError {
  const limit = numbers ? `${MAX_FLOOD_LISTS} lists` : `${MAX_FLOOD_MEMBERS} members of lists`;
  return full(`${config.name} has no room for another flood list: ${limit}`, "remove some of them");
}
