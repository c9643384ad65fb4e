// Fills a tunnel's tables from its config, when it is opened.

import type { RemoteConfig } from "../config/effective.js";
import { CulvertError } from "../errors.js";
import { FDB_PERMANENT, FDB_ROUTER } from "../fdb/fdb.js";
import { NEIGH_PERMANENT } from "../neigh/neigh.js";
import { monotonicSeconds } from "../shared-memory/clock.js";
import { TABLE_EXISTS, TABLE_FULL } from "../shared-memory/table-result.js";
import { ipOf, ipv4PrefixOf, macOf } from "./addresses.js";
import type { Peers } from "./peers.js";
import type { IpipRuntime, VxlanRuntime } from "./tunnel.js";

export function fillVxlan(tunnel: VxlanRuntime, peers: Peers): void {
  const { config, index } = tunnel;
  const row = ({ dst, port, vni, gbp }: RemoteConfig) => {
    const acquired = peers.acquire(index, dst, port, vni);
    if (gbp !== undefined) peers.setGroup(acquired, gbp);
    return acquired;
  };
  const { group, port, vni } = config;
  const groups = group === undefined ? [] : [{ dst: group, port, vni }];
  for (const remote of [...groups, ...config.remotes]) {
    const added = row(remote);
    if (tunnel.flood.append(added) === TABLE_EXISTS) peers.release(added);
  }
  for (const entry of config.fdb) {
    const { hi, lo } = macOf(entry.mac);
    const flags = FDB_PERMANENT | (entry.router ? FDB_ROUTER : 0);
    const result = tunnel.fdb.add(hi, lo, row(entry), flags, monotonicSeconds());
    if (result === TABLE_FULL) throw tableFull(config.name, "max_entries", config.max_entries);
  }
  for (const { ip, mac } of config.neighbors) {
    const { w0, w1, w2, w3 } = ipOf(ip);
    const { hi, lo } = macOf(mac);
    const entry = { address: [w0, w1, w2, w3], hi, lo, flags: NEIGH_PERMANENT } as const;
    if (tunnel.neigh.replace(entry) === TABLE_FULL) {
      throw tableFull(config.name, "neighbors", tunnel.neigh.maxEntries);
    }
  }
}

export function fillIpip(tunnel: IpipRuntime, peers: Peers): void {
  for (const { to, via } of tunnel.config.routes) {
    const { prefix, length } = ipv4PrefixOf(to);
    const remote = via === undefined ? -1 : peers.acquire(tunnel.index, via);
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
