// `culvert fdb`: shows and changes forwarding databases in the words and with the rules of
// bridge(8) on a vxlan device (drivers/net/vxlan/vxlan_core.c, vxlan_fdb_update). The all-zero MAC
// is the flood list.

import { underlayFault } from "../../config/addresses.js";
import type {
  FdbChange,
  FdbFlush,
  FdbEntry as FdbLine,
  FdbQuery,
  FlushResult,
} from "../../control/target.js";
import { CulvertError, ExitStatus } from "../../errors.js";
import { FDB_PERMANENT, FDB_STATIC, type FdbEntry } from "../../fdb/fdb.js";
import type { RemoteTable } from "../../remotes/remote-table.js";
import { monotonicSeconds } from "../../shared-memory/clock.js";
import { MAX_FLOOD_REMOTES } from "../../shared-memory/limits.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../../shared-memory/table-result.js";
import { formatIp, ipEquals, isIpv4 } from "../../wire/ip-address.js";
import { formatMac, isMulticastMac, isZeroMac, type Mac } from "../../wire/mac.js";
import { canonicalIp, ipOf, macOf, textOf } from "../addresses.js";
import type { VxlanRuntime } from "../tunnel.js";
import { type ControlContext, vxlanNamed, vxlanTunnels } from "./context.js";

const ZERO_MAC = "00:00:00:00:00:00";
const FIXED = FDB_PERMANENT | FDB_STATIC;

export function fdbShow(context: ControlContext, query: FdbQuery): FdbLine[] {
  const mac = query.mac === undefined ? undefined : formatMacOf(macOf(query.mac));
  const dst = query.dst === undefined ? undefined : canonicalIp(query.dst);
  return vxlanTunnels(context, query.dev)
    .flatMap((tunnel) => lines(context, tunnel))
    .filter((line) => mac === undefined || line.mac === mac)
    .filter((line) => dst === undefined || line.dst === dst);
}

export function fdbChange(context: ControlContext, change: FdbChange): void {
  const tunnel = vxlanNamed(context, change.dev);
  const mac = macOf(change.mac);
  if (isMulticastMac(mac.hi)) throw noMulticast(change.mac);
  requireUsableDst(tunnel, change);
  if (isZeroMac(mac.hi, mac.lo)) return changeFloodList(context, tunnel, change);
  changeUnicast(context, tunnel, mac, change);
}

export function fdbFlush(context: ControlContext, query: FdbFlush): FlushResult {
  const tunnel = vxlanNamed(context, query.dev);
  const dst = query.dst === undefined ? undefined : canonicalIp(query.dst);
  const mac = query.mac === undefined ? undefined : macOf(query.mac);
  const wanted = (entry: Pick<FdbEntry, "hi" | "lo" | "remote" | "flags">): boolean => {
    const fixed = (entry.flags & FIXED) !== 0;
    if (query.permanent !== undefined && query.permanent !== fixed) return false;
    if (mac !== undefined && (mac.hi !== entry.hi || mac.lo !== entry.lo)) return false;
    return dst === undefined || rowAddress(context.remotes, entry.remote) === dst;
  };
  const held: number[] = [];
  const removed = tunnel.fdb
    .list()
    .filter(wanted)
    .filter((entry) => takeEntry(tunnel, entry, held)).length;
  const members = tunnel.flood
    .list()
    .filter((remote) => wanted({ hi: 0, lo: 0, remote, flags: FDB_PERMANENT }))
    .filter((remote) => tunnel.flood.remove(remote) === TABLE_OK);
  context.peers.releaseVxlan(tunnel, [...held, ...members]);
  return { removed: removed + members.length };
}

function lines(context: ControlContext, tunnel: VxlanRuntime): FdbLine[] {
  const now_s = monotonicSeconds();
  const flood = tunnel.flood.list().map((row) => line(context, tunnel, ZERO_MAC, row, true, 0));
  const entries = tunnel.fdb.list().map((entry) => {
    const age_s = Math.max(0, now_s - entry.updated_s);
    const fixed = (entry.flags & FIXED) !== 0;
    return line(context, tunnel, formatMacOf(entry), entry.remote, fixed, age_s);
  });
  return [...flood, ...entries];
}

function line(
  { remotes }: ControlContext,
  { config }: VxlanRuntime,
  mac: string,
  row: number,
  permanent: boolean,
  age_s: number,
): FdbLine {
  const remote = remotes.get(row);
  return {
    dev: config.name,
    mac,
    dst: rowAddress(remotes, row),
    ...(remote === undefined || remote.port === config.port ? {} : { port: remote.port }),
    ...(remote === undefined || remote.vni === config.vni ? {} : { vni: remote.vni }),
    state: permanent ? "permanent" : "dynamic",
    used_s: age_s,
    updated_s: age_s,
  };
}

function changeUnicast(
  context: ControlContext,
  tunnel: VxlanRuntime,
  mac: Mac,
  change: FdbChange,
): void {
  if (change.op === "append") {
    throw refused("append needs the all-zero MAC: an ordinary MAC has one remote", {
      hint: "use `replace` to point it to another remote",
    });
  }
  if (change.op === "del") {
    const entry = tunnel.fdb.get(mac.hi, mac.lo);
    const other =
      change.dst !== undefined &&
      entry !== undefined &&
      !rowIs(context, tunnel, entry.remote, change);
    const held: number[] = [];
    if (entry === undefined || other || !takeEntry(tunnel, entry, held)) throw notFound(change);
    return context.peers.releaseVxlan(tunnel, held);
  }
  const row = acquire(context, tunnel, change);
  const now_s = monotonicSeconds();
  const old = ({ flags, remote }: FdbEntry) => {
    if ((flags & FIXED) !== 0) context.peers.releaseVxlan(tunnel, [remote]);
  };
  const result =
    change.op === "add"
      ? tunnel.fdb.add(mac.hi, mac.lo, row, FDB_PERMANENT, now_s)
      : tunnel.fdb.replace(mac.hi, mac.lo, row, FDB_PERMANENT, now_s, old);
  settle(tunnel, change, result, () => context.peers.releaseVxlan(tunnel, [row]));
}

function changeFloodList(context: ControlContext, tunnel: VxlanRuntime, change: FdbChange): void {
  if (change.op === "replace") {
    throw refused("replace is for unicast MACs: the all-zero MAC has a list of remotes", {
      hint: "use `append` and `del` to change the list",
    });
  }
  if (change.op === "del") {
    const gone = tunnel.flood
      .list()
      .filter((row) => change.dst === undefined || rowIs(context, tunnel, row, change));
    if (gone.length === 0) throw notFound(change);
    const removed = gone.filter((row) => tunnel.flood.remove(row) === TABLE_OK);
    return context.peers.releaseVxlan(tunnel, removed);
  }
  if (change.op === "add" && tunnel.flood.list().length > 0) {
    throw exists(change, "use `append` to add a remote to the list");
  }
  const row = acquire(context, tunnel, change);
  const result = tunnel.flood.append(row);
  // As with bridge(8): what is there already is no error.
  if (result === TABLE_EXISTS) return context.peers.releaseVxlan(tunnel, [row]);
  settle(tunnel, change, result, () => context.peers.releaseVxlan(tunnel, [row]));
}

function acquire({ peers }: ControlContext, tunnel: VxlanRuntime, change: FdbChange): number {
  const { port, vni } = tunnel.config;
  const dst = change.dst;
  if (dst === undefined) {
    throw refused(`${change.op} needs a destination`, { hint: "say `dst ADDRESS`" });
  }
  return peers.acquire(tunnel.index, dst, change.port ?? port, change.vni ?? vni);
}

/** Throws what a table's result means, after `undo`. */
function settle(
  tunnel: VxlanRuntime,
  change: FdbChange,
  result: TableResult,
  undo: () => void,
): void {
  if (result !== TABLE_EXISTS && result !== TABLE_FULL) return;
  undo();
  if (result === TABLE_EXISTS) throw exists(change, "use `replace` to change it");
  if (change.mac === ZERO_MAC) {
    const what = `the flood list of ${change.dev} is full: ${MAX_FLOOD_REMOTES} remotes`;
    throw new CulvertError("CULVERT_TABLE_FULL", what, { hint: "remove some of them first" });
  }
  const limit = tunnel.config.max_entries;
  throw new CulvertError(
    "CULVERT_TABLE_FULL",
    `the FDB of ${change.dev} is full: ${limit} entries`,
    {
      hint: "raise `max_entries` of the tunnel, or remove entries: culvert fdb flush",
    },
  );
}

/**
 * Takes an entry out of the table.
 * @param held gets the row of its remote, when the entry held a reference: a configured one
 * @returns false when it was gone already
 */
function takeEntry(tunnel: VxlanRuntime, entry: FdbEntry, held: number[]): boolean {
  const result = tunnel.fdb.del(entry.hi, entry.lo, (old) => {
    if ((old.flags & FIXED) !== 0) held.push(old.remote);
  });
  return result !== TABLE_NOT_FOUND;
}

/** Is a row the remote that a change names? Port and VNI are the tunnel's own unless given. */
function rowIs(
  { remotes }: ControlContext,
  { config }: VxlanRuntime,
  row: number,
  change: FdbChange,
): boolean {
  const remote = remotes.get(row);
  if (remote === undefined || change.dst === undefined) return false;
  if (formatIp(...remote.address) !== canonicalIp(change.dst)) return false;
  return remote.port === (change.port ?? config.port) && remote.vni === (change.vni ?? config.vni);
}

/** The address of a remote's row; "" when the row is free. */
function rowAddress(remotes: RemoteTable, row: number): string {
  const remote = remotes.get(row);
  return remote === undefined ? "" : formatIp(...remote.address);
}

const formatMacOf = ({ hi, lo }: { hi: number; lo: number }): string => formatMac(hi, lo);

function requireUsableDst(tunnel: VxlanRuntime, { dst }: FdbChange): void {
  if (dst === undefined) return;
  const fault = underlayFault(dst);
  if (fault !== undefined) {
    throw refused(`dst ${dst} can be no remote`, { hint: `it has to be ${fault}` });
  }
  const remote = ipOf(dst);
  if (isIpv4(remote) !== isIpv4(tunnel.local)) {
    throw refused(`dst ${dst} is of another address family than the tunnel`, {
      hint: `the tunnel's local address is ${textOf(tunnel.local)}`,
    });
  }
  if (ipEquals(remote, tunnel.local)) {
    throw refused(`dst ${dst} is the tunnel's own address`, { hint: "name the peer's address" });
  }
}

function refused(message: string, { hint }: { hint: string }): CulvertError {
  return new CulvertError("CULVERT_FDB_REFUSED", message, { hint, exit: ExitStatus.usage });
}

function noMulticast(mac: string): CulvertError {
  return refused(`${mac} is a multicast MAC: lists of remotes per group are not supported yet`, {
    hint: "multicast goes to the flood list; change that with 00:00:00:00:00:00",
  });
}

function exists({ mac, dev }: FdbChange, hint: string): CulvertError {
  return new CulvertError("CULVERT_EXISTS", `${dev} has an entry for ${mac} already`, { hint });
}

function notFound({ mac, dev, dst }: FdbChange): CulvertError {
  const what = dst === undefined ? mac : `${mac} dst ${dst}`;
  return new CulvertError("CULVERT_NOT_FOUND", `${dev} has no entry for ${what}`, {
    hint: `see \`culvert fdb show dev ${dev}\``,
  });
}
