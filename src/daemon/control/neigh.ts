// `culvert neigh`: shows and changes the neighbour tables that the ARP/ND proxy answers from, in
// the words of ip-neighbour(8). Each entry is set on the device as well (rtnetlink), so that the
// host itself need not ask either.

import type {
  FlushResult,
  NeighChange,
  NeighFlush,
  NeighEntry as NeighLine,
  NeighQuery,
  NeighStateWord,
} from "../../control/target.js";
import { CulvertError, ExitStatus } from "../../errors.js";
import { NEIGH_NOARP, NEIGH_PERMANENT, NEIGH_ROUTER, type NeighEntry } from "../../neigh/neigh.js";
import { hasCode } from "../../netlink/errors.js";
import { deleteNeighbour, replaceNeighbour } from "../../netlink/neighbours.js";
import { formatIp, isMulticastIp, isUnspecifiedIp } from "../../wire/ip-address.js";
import { formatMac, isValidSourceMac } from "../../wire/mac.js";
import { canonicalIp, ipOf, macOf } from "../addresses.js";
import type { TableOperation } from "../table-changes.js";
import type { VxlanRuntime } from "../tunnel.js";
import { type ControlContext, vxlanNamed, vxlanTunnels } from "./context.js";

export function neighShow(context: ControlContext, query: NeighQuery): NeighLine[] {
  const ip = query.ip === undefined ? undefined : canonicalIp(query.ip);
  const wanted = (entry: NeighEntry): boolean =>
    (ip === undefined || addressOf(entry) === ip) &&
    (query.state === undefined || query.state === stateOf(entry));
  return vxlanTunnels(context, query.dev).flatMap(({ config, neigh }) =>
    neigh
      .list()
      .filter(wanted)
      .map((entry) => line(config.name, entry)),
  );
}

export function neighChange(context: ControlContext, change: NeighChange): void {
  const tunnel = vxlanNamed(context, change.dev);
  const { w0, w1, w2, w3 } = ipOf(change.ip);
  const address = [w0, w1, w2, w3] as const;
  const old = tunnel.neigh.get(address);
  if (change.op === "del") {
    if (old === undefined) throw notFound(change);
    return remove(context, tunnel, old);
  }
  if (change.mac === undefined) {
    throw new CulvertError("CULVERT_NEIGH_REFUSED", `${change.op} needs a MAC address`, {
      hint: "say `lladdr MAC`",
      exit: ExitStatus.usage,
    });
  }
  requireUnicast(change.ip, change.mac);
  if (old !== undefined && change.op === "add") {
    const what = `File exists: ${change.dev} has an entry for ${change.ip} already`;
    throw new CulvertError("CULVERT_EXISTS", what, { hint: "use `replace` to change it" });
  }
  if (old === undefined && tunnel.neigh.count >= tunnel.neigh.maxEntries) {
    const what = `No space left on device: ${change.dev} holds ${tunnel.neigh.maxEntries} neighbours`;
    const hint = "remove entries: culvert neigh flush";
    throw new CulvertError("CULVERT_TABLE_FULL", what, { hint });
  }
  // The kernel first: it may refuse, our table will not.
  const { ifindex } = tunnel.device;
  const { ip, mac, router = false } = change;
  const noArp = change.state === "noarp";
  replaceNeighbour(context.rtnl, { ifindex, ip, mac, router, noArp });
  const { hi, lo } = macOf(mac);
  const flags = (noArp ? NEIGH_NOARP : NEIGH_PERMANENT) | (router ? NEIGH_ROUTER : 0);
  const entry = { address, hi, lo, flags };
  tunnel.neigh.replace(entry);
  tell(context, "new", tunnel, entry);
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
  const ip = query.ip === undefined ? undefined : canonicalIp(query.ip);
  const gone = tunnel.neigh.list().filter((entry) => {
    const state = stateOf(entry);
    if (query.states?.includes(state) === false) return false;
    if (query.permanent !== undefined && query.permanent !== (state === "permanent")) return false;
    if (query.router !== undefined && query.router !== isRouter(entry)) return false;
    return ip === undefined || addressOf(entry) === ip;
  });
  for (const entry of gone) remove(context, tunnel, entry);
  return { removed: gone.length };
}

function remove(context: ControlContext, tunnel: VxlanRuntime, entry: NeighEntry): void {
  tunnel.neigh.del(entry.address);
  tell(context, "del", tunnel, entry);
  unset(context, tunnel, addressOf(entry));
}

function tell(
  { changes }: ControlContext,
  op: TableOperation,
  tunnel: VxlanRuntime,
  entry: NeighEntry,
): void {
  if (!changes.heard) return;
  const mac = formatMac(entry.hi, entry.lo);
  const state = stateOf(entry);
  changes.neigh({ op, tunnel, ip: addressOf(entry), mac, state, router: isRouter(entry) });
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
  return {
    dev,
    ip: addressOf(entry),
    mac: formatMac(entry.hi, entry.lo),
    state: stateOf(entry) === "noarp" ? "NOARP" : "PERMANENT",
    ...(isRouter(entry) ? { router: true } : {}),
  };
}

const isRouter = ({ flags }: NeighEntry): boolean => (flags & NEIGH_ROUTER) !== 0;

const stateOf = ({ flags }: NeighEntry): NeighStateWord =>
  (flags & NEIGH_NOARP) === 0 ? "permanent" : "noarp";

const addressOf = (entry: NeighEntry): string => formatIp(...entry.address);

function notFound({ dev, ip }: NeighChange): CulvertError {
  return new CulvertError(
    "CULVERT_NOT_FOUND",
    `No such file or directory: ${dev} has no entry for ${ip}`,
    {
      hint: `see \`culvert neigh show dev ${dev}\``,
    },
  );
}
