// Fills the tables of a VXLAN tunnel from its config, when it is opened. The routes of ipip tunnels
// are the kernel's: route-mirror.ts.

import { CulvertError } from "../errors.js";
import { FDB_PERMANENT, FDB_ROUTER } from "../fdb/fdb.js";
import { NEIGH_PERMANENT, NEIGH_ROUTER } from "../neigh/neigh.js";
import { TABLE_FULL } from "../shared-memory/table-result.js";
import { isListMac } from "../wire/mac.js";
import { ipOf, macOf } from "./addresses.js";
import type { FdbEntries } from "./fdb-entries.js";
import type { VxlanRuntime } from "./tunnel.js";

const ALL_ZERO = { hi: 0, lo: 0 };

export function fillVxlan(tunnel: VxlanRuntime, entries: FdbEntries): void {
  const { config } = tunnel;
  const { group, port, vni } = config;
  const groups = group === undefined ? [] : [{ dst: group, port, vni }];
  for (const { dst, ...rest } of [...groups, ...config.remotes]) {
    const remote = { ...rest, dst: ipOf(dst) };
    entries.change(tunnel, { op: "append", mac: ALL_ZERO, remote, flags: FDB_PERMANENT });
  }
  for (const { mac: text, router, dst, ...rest } of config.fdb) {
    const remote = { ...rest, dst: ipOf(dst) };
    const mac = macOf(text);
    const op = isListMac(mac.hi, mac.lo) ? "append" : "add";
    const flags = FDB_PERMANENT | (router ? FDB_ROUTER : 0);
    entries.change(tunnel, { op, mac, remote, flags });
  }
  for (const { ip, mac, router } of config.neighbors) {
    const { w0, w1, w2, w3 } = ipOf(ip);
    const { hi, lo } = macOf(mac);
    const flags = NEIGH_PERMANENT | (router ? NEIGH_ROUTER : 0);
    if (tunnel.neigh.replace({ address: [w0, w1, w2, w3], hi, lo, flags }) === TABLE_FULL) {
      throw tableFull(config.name, "neighbors", tunnel.neigh.maxEntries);
    }
  }
}

function tableFull(name: string, what: string, limit: number): CulvertError {
  return new CulvertError(
    "CULVERT_TABLE_FULL",
    `No space left on device: tunnel ${name} holds at most ${limit} ${what}`,
    { hint: `remove some of its \`${what}\`` },
  );
}
