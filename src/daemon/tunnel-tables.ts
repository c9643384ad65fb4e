// Fills a tunnel's tables from its config, and the operations on remotes that config and control socket share: a static
// FDB entry, a flood-list member and a route's gateway each hold a reference to a remote, and a remote is allowed to
// send to us as long as somebody holds one.

import type { RemoteConfig } from "../config/effective.js";
import { CulvertError } from "../errors.js";
import { FDB_PERMANENT } from "../fdb/fdb.js";
import { NEIGH_PERMANENT } from "../neigh/neigh.js";
import { REMOTE_FLAG_ALLOWED } from "../remotes/remote-rows.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { monotonicSeconds } from "../shared-memory/clock.js";
import { TABLE_EXISTS, TABLE_FULL } from "../shared-memory/table-result.js";
import { ipOf, ipv4PrefixOf, macOf } from "./addresses.js";
import type { IpipRuntime, VxlanRuntime } from "./tunnel.js";

/** A reference to a remote. Throws CULVERT_TABLE_FULL when there is no room for another. */
export function addRemote(
  remotes: RemoteTable,
  tunnel: number,
  dst: string,
  port = 0,
  vni = 0,
): number {
  const { w0, w1, w2, w3 } = ipOf(dst);
  const row = remotes.acquire(tunnel, w0, w1, w2, w3, port, vni, REMOTE_FLAG_ALLOWED);
  if (row >= 0) return row;
  throw new CulvertError("CULVERT_TABLE_FULL", `no room for remote ${dst}`, {
    hint: `the daemon holds at most ${remotes.maxRemotes} remotes of all tunnels`,
  });
}

/** Gives a reference back; what was learned from a remote that nobody holds any more is forgotten with it. */
export function releaseRemote(tunnel: VxlanRuntime, remotes: RemoteTable, row: number): void {
  remotes.release(row);
  if (remotes.family(row) === 0) tunnel.fdb.flush({ remotes: new Set([row]) });
}

export function fillVxlan(tunnel: VxlanRuntime, remotes: RemoteTable): void {
  const { config, index } = tunnel;
  const row = ({ dst, port, vni }: RemoteConfig) => addRemote(remotes, index, dst, port, vni);
  for (const remote of config.remotes) {
    const added = row(remote);
    if (tunnel.flood.append(added) === TABLE_EXISTS) remotes.release(added);
  }
  for (const entry of config.fdb) {
    const { hi, lo } = macOf(entry.mac);
    const result = tunnel.fdb.add(hi, lo, row(entry), FDB_PERMANENT, monotonicSeconds());
    if (result === TABLE_FULL) throw tableFull(config.name, "max_entries", config.max_entries);
  }
  for (const { ip, mac } of config.neighbors) {
    const { w0, w1, w2, w3 } = ipOf(ip);
    const { hi, lo } = macOf(mac);
    tunnel.neigh.replace({ address: [w0, w1, w2, w3], hi, lo, flags: NEIGH_PERMANENT });
  }
}

export function fillIpip(tunnel: IpipRuntime, remotes: RemoteTable): void {
  for (const { to, via } of tunnel.config.routes) {
    const { prefix, length } = ipv4PrefixOf(to);
    const remote = via === undefined ? -1 : addRemote(remotes, tunnel.index, via);
    const gateway = via === undefined ? 0 : ipOf(via).w3;
    const result = tunnel.routes.replace({ prefix, prefixLength: length, gateway, remote });
    if (result === TABLE_FULL) {
      throw tableFull(tunnel.config.name, "routes", tunnel.routes.maxEntries);
    }
  }
}

function tableFull(name: string, what: string, limit: number): CulvertError {
  return new CulvertError(
    "CULVERT_TABLE_FULL",
    `tunnel ${name}: more entries than ${what} allows`,
    {
      hint: `the limit is ${limit}; raise \`${what}\` or remove entries`,
    },
  );
}
