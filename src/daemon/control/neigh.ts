// `culvert neigh`: shows and changes the neighbour tables that the ARP/ND proxy answers from, in
// the words of ip-neighbour(8). Each entry is set on the device as well (rtnetlink), so that the
// host itself need not ask either.

import type {
  FlushResult,
  NeighChange,
  NeighFlush,
  NeighEntry as NeighLine,
  NeighQuery,
} from "../../control/target.js";
import { CulvertError, ExitStatus } from "../../errors.js";
import { NEIGH_PERMANENT, NEIGH_RESULT_WORDS, type NeighEntry } from "../../neigh/neigh.js";
import { hasCode } from "../../netlink/errors.js";
import { deleteNeighbour, replaceNeighbour } from "../../netlink/neighbours.js";
import { TABLE_NOT_FOUND } from "../../shared-memory/table-result.js";
import { formatIp, isMulticastIp, isUnspecifiedIp } from "../../wire/ip-address.js";
import { formatMac, isValidSourceMac } from "../../wire/mac.js";
import { canonicalIp, ipOf, macOf } from "../addresses.js";
import type { VxlanRuntime } from "../tunnel.js";
import { type ControlContext, vxlanNamed, vxlanTunnels } from "./context.js";

export function neighShow(context: ControlContext, query: NeighQuery): NeighLine[] {
  const ip = query.ip === undefined ? undefined : canonicalIp(query.ip);
  return vxlanTunnels(context, query.dev)
    .flatMap(({ config, neigh }) => neigh.list().map((entry) => line(config.name, entry)))
    .filter((entry) => ip === undefined || entry.ip === ip);
}

export function neighChange(context: ControlContext, change: NeighChange): void {
  const tunnel = vxlanNamed(context, change.dev);
  const { w0, w1, w2, w3 } = ipOf(change.ip);
  const address = [w0, w1, w2, w3] as const;
  if (change.op === "del") {
    if (tunnel.neigh.del(address) === TABLE_NOT_FOUND) throw notFound(change);
    return unset(context, tunnel, change.ip);
  }
  if (change.mac === undefined) {
    throw new CulvertError("CULVERT_NEIGH_REFUSED", `${change.op} needs a MAC address`, {
      hint: "say `lladdr MAC`",
      exit: ExitStatus.usage,
    });
  }
  requireUnicast(change.ip, change.mac);
  const known = tunnel.neigh.lookup(w0, w1, w2, w3, new Int32Array(NEIGH_RESULT_WORDS));
  if (known && change.op === "add") {
    const what = `${change.dev} has an entry for ${change.ip} already`;
    throw new CulvertError("CULVERT_EXISTS", what, { hint: "use `replace` to change it" });
  }
  if (!known && tunnel.neigh.count >= tunnel.neigh.maxEntries) {
    const what = `${change.dev} holds ${tunnel.neigh.maxEntries} neighbours`;
    const hint = "remove entries: culvert neigh flush";
    throw new CulvertError("CULVERT_TABLE_FULL", what, { hint });
  }
  // The kernel first: it may refuse, our table will not.
  const { ifindex } = tunnel.device;
  replaceNeighbour(context.rtnl, { ifindex, ip: change.ip, mac: change.mac });
  const { hi, lo } = macOf(change.mac);
  tunnel.neigh.replace({ address, hi, lo, flags: NEIGH_PERMANENT });
}

function requireUnicast(ip: string, mac: string): void {
  const { hi, lo } = macOf(mac);
  const address = ipOf(ip);
  const wrong = isMulticastIp(address) || isUnspecifiedIp(address) ? ip : mac;
  if (wrong === mac && isValidSourceMac(hi, lo)) return;
  throw new CulvertError("CULVERT_NEIGH_REFUSED", `${wrong} is no address of a neighbour`, {
    hint: "a neighbour is one host: give its unicast addresses",
    exit: ExitStatus.usage,
  });
}

export function neighFlush(context: ControlContext, query: NeighFlush): FlushResult {
  const tunnel = vxlanNamed(context, query.dev);
  if (query.permanent === false) return { removed: 0 }; // every entry is permanent
  const ip = query.ip === undefined ? undefined : canonicalIp(query.ip);
  const gone = tunnel.neigh.list().filter((entry) => ip === undefined || addressOf(entry) === ip);
  for (const entry of gone) {
    tunnel.neigh.del(entry.address);
    unset(context, tunnel, addressOf(entry));
  }
  return { removed: gone.length };
}

/** Takes the entry off the device; somebody else may have done so before. */
function unset({ rtnl }: ControlContext, tunnel: VxlanRuntime, ip: string): void {
  try {
    deleteNeighbour(rtnl, tunnel.device.ifindex, ip);
  } catch (error) {
    if (!hasCode(error, "CULVERT_NOT_FOUND")) throw error;
  }
}

function line(dev: string, entry: NeighEntry): NeighLine {
  return { dev, ip: addressOf(entry), mac: formatMac(entry.hi, entry.lo), state: "PERMANENT" };
}

const addressOf = (entry: NeighEntry): string => formatIp(...entry.address);

function notFound({ dev, ip }: NeighChange): CulvertError {
  return new CulvertError("CULVERT_NOT_FOUND", `${dev} has no entry for ${ip}`, {
    hint: `see \`culvert neigh show dev ${dev}\``,
  });
}
