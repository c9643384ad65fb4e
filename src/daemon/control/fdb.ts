// `culvert fdb add|append|replace|del|flush`: requests in the words of bridge(8) on a vxlan device
// -> wishes for fdb-entries.ts, which has the kernel's rules. The all-zero MAC is the flood list.

import { canonicalAddress, underlayFault } from "../../config/addresses.js";
import type { FdbChange, FdbFlush, FdbStateWord, FlushResult } from "../../control/target.js";
import { FDB_EXTERN, FDB_PERMANENT, FDB_ROUTER, FDB_STATIC, type FdbEntry } from "../../fdb/fdb.js";
import { type IpAddress, ipEquals, isIpv4 } from "../../wire/ip-address.js";
import { ipOf, macOf, textOf } from "../addresses.js";
import { type FdbRemote, fdbRefused } from "../fdb-entries.js";
import type { VxlanRuntime } from "../tunnel.js";
import { type ControlContext, vxlanNamed } from "./context.js";

const KINDS: Readonly<Record<FdbStateWord, number>> = {
  permanent: FDB_PERMANENT,
  static: FDB_STATIC,
  dynamic: 0,
};

export function fdbChange(context: ControlContext, change: FdbChange): void {
  const tunnel = vxlanNamed(context, change.dev);
  const mac = macOf(change.mac);
  const remote = remoteOf(tunnel, change);
  const { op } = change;
  if (op === "del") return context.fdbEntries.change(tunnel, { op, mac, remote });
  if (remote === undefined) {
    throw fdbRefused(`${op} needs a destination`, { hint: "say `dst ADDRESS`" });
  }
  const flags =
    KINDS[change.state ?? "permanent"] |
    (change.router === true ? FDB_ROUTER : 0) |
    (change.extern_learn === true ? FDB_EXTERN : 0);
  context.fdbEntries.change(tunnel, { op, mac, remote, flags });
}

export function fdbFlush(context: ControlContext, query: FdbFlush): FlushResult {
  const tunnel = vxlanNamed(context, query.dev);
  const mac = query.mac === undefined ? undefined : macOf(query.mac);
  const flagged = (entry: FdbEntry, flag: number, wanted: boolean | undefined): boolean =>
    wanted === undefined || ((entry.flags & flag) !== 0) === wanted;
  const removed = context.fdbEntries.flush(tunnel, {
    entry: (entry) => {
      const state = fdbStateOf(entry.flags);
      if (query.states?.includes(state) === false) return false;
      if (query.permanent !== undefined && query.permanent !== (state !== "dynamic")) return false;
      if (mac !== undefined && (mac.hi !== entry.hi || mac.lo !== entry.lo)) return false;
      if (!flagged(entry, FDB_EXTERN, query.extern_learn)) return false;
      return flagged(entry, FDB_ROUTER, query.router);
    },
    remote: remoteFilter(context, query),
  });
  return { removed };
}

/** The word for an entry's kind; what was learned is dynamic. */
export function fdbStateOf(flags: number): FdbStateWord {
  if ((flags & FDB_PERMANENT) !== 0) return "permanent";
  return (flags & FDB_STATIC) !== 0 ? "static" : "dynamic";
}

/** Whether a row has the address, port and VNI that are given. */
export function remoteFilter(
  { remotes }: ControlContext,
  query: Pick<FdbFlush, "dst" | "port" | "vni">,
): (row: number) => boolean {
  const dst = query.dst === undefined ? undefined : ipOf(query.dst);
  return (row) => {
    if (query.port !== undefined && remotes.port(row) !== query.port) return false;
    if (query.vni !== undefined && remotes.vni(row) !== query.vni) return false;
    if (dst === undefined) return true;
    const [w0, w1, w2, w3] = [0, 1, 2, 3].map((word) => remotes.addressWord(row, word) >>> 0);
    return w0 === dst.w0 && w1 === dst.w1 && w2 === dst.w2 && w3 === dst.w3;
  };
}

/** The remote that a change names, port and VNI the tunnel's own unless given. */
function remoteOf(tunnel: VxlanRuntime, change: FdbChange): FdbRemote | undefined {
  const { dst, port = tunnel.config.port, vni = tunnel.config.vni } = change;
  return dst === undefined ? undefined : { dst: usableAddress(tunnel, dst), port, vni };
}

/** Many changes of a batch name the same few remotes: what was found usable is looked up. */
const usable = new WeakMap<VxlanRuntime, Map<string, IpAddress>>();
const MOST_REMEMBERED = 4096;

function usableAddress(tunnel: VxlanRuntime, dst: string): IpAddress {
  let known = usable.get(tunnel);
  if (known === undefined || known.size >= MOST_REMEMBERED) {
    known = new Map();
    usable.set(tunnel, known);
  }
  const remote = known.get(dst) ?? checkedAddress(tunnel, dst);
  known.set(dst, remote);
  return remote;
}

function checkedAddress(tunnel: VxlanRuntime, dst: string): IpAddress {
  const { group } = tunnel.config;
  // It stands in the all-zero entry: what is shown there can be taken out and put back.
  if (group !== undefined && group === canonicalAddress(dst)) return ipOf(dst);
  const fault = underlayFault(dst);
  if (fault !== undefined) {
    throw fdbRefused(`dst ${dst} can be no remote`, { hint: `it has to be ${fault}` });
  }
  const remote = ipOf(dst);
  if (isIpv4(remote) !== isIpv4(tunnel.local)) {
    throw fdbRefused(`dst ${dst} is of another address family than the tunnel`, {
      hint: `the tunnel's local address is ${textOf(tunnel.local)}`,
    });
  }
  if (ipEquals(remote, tunnel.local)) {
    throw fdbRefused(`dst ${dst} is the tunnel's own address`, { hint: "name the peer's address" });
  }
  return remote;
}
