// Brings together where events come from (workers' rings, changes of tables, ageing, keepalives)
// and who hears of them (monitors at the control socket, listeners of rtnetlink, the log), and
// tells the workers which ones to report. Nothing here may fail: forwarding goes on without it.

import { eventTime_ms, type FdbEvent, type PeerEvent } from "../control/monitor-events.js";
import type { EventInbox, EventReceiver } from "../events/event-inbox.js";
import {
  EVENT_ADDRESS,
  EVENT_COUNT,
  EVENT_KIND,
  EVENT_L2MISS,
  EVENT_L3MISS,
  EVENT_LEARNED,
  EVENT_MAC_HI,
  EVENT_MAC_LO,
  EVENT_MOVED,
  EVENT_OLD_REMOTE,
  EVENT_REASON,
  EVENT_REFUSED,
  EVENT_REMOTE,
  EVENT_TUNNEL,
  EVENT_UNREPORTED,
  eventBit,
} from "../events/event-record.js";
import { FDB_EXTERN, FDB_ROUTER } from "../fdb/fdb.js";
import type { RemoteTable } from "../remotes/remote-table.js";
import { monotonicSeconds } from "../shared-memory/clock.js";
import { DROP_REASONS } from "../telemetry/drop-reasons.js";
import type { Logger } from "../telemetry/log.js";
import { formatIp } from "../wire/ip-address.js";
import { formatMac } from "../wire/mac.js";
import { Monitors } from "./monitors.js";
import { type FdbFacts, NeighbourNotifier } from "./neighbour-notifier.js";
import { PeerWatch } from "./peer-watch.js";
import { Refusals } from "./refusals.js";
import type {
  FdbTableChange,
  NeighTableChange,
  TableChangeListener,
  TableChanges,
} from "./table-changes.js";
import type { TunnelRuntime, VxlanRuntime } from "./tunnel.js";

export interface EventParts {
  readonly tunnels: readonly TunnelRuntime[];
  readonly remotes: RemoteTable;
  readonly inbox: EventInbox;
  readonly log: Logger;
  /** Gives a datagram to the listeners of rtnetlink; returns -errno when it cannot. */
  readonly notify: (datagram: Uint8Array, length: number) => number;
}

/** A remote as events name it. */
type Place = Pick<FdbFacts, "dst" | "port" | "vni">;

const STATE_WORDS: Readonly<Record<FdbTableChange["state"], FdbEvent["state"]>> = {
  ...{ permanent: "permanent", static: "static", dynamic: "reachable", learned: "reachable" },
};
const LEARNING = eventBit(EVENT_LEARNED) | eventBit(EVENT_MOVED);

export class DaemonEvents implements EventReceiver, TableChangeListener {
  readonly monitors: Monitors;
  readonly #tunnels: readonly TunnelRuntime[];
  readonly #remotes: RemoteTable;
  readonly #inbox: EventInbox;
  readonly #notifier: NeighbourNotifier;
  readonly #refusals: Refusals;
  readonly #peers: PeerWatch;
  #unlisten: () => void = () => undefined;

  constructor({ tunnels, remotes, inbox, log, notify }: EventParts) {
    this.#tunnels = tunnels;
    this.#remotes = remotes;
    this.#inbox = inbox;
    this.#notifier = new NeighbourNotifier(notify, log);
    this.monitors = new Monitors(tunnels, () => this.#monitorsChanged());
    this.#refusals = new Refusals(log, (event) => this.peer(event));
    this.#peers = new PeerWatch(tunnels, remotes);
    this.#tellWorkers();
  }

  start(changes: TableChanges): void {
    this.#unlisten = changes.listen(this);
    this.#inbox.open(this);
  }

  stop(): void {
    this.#unlisten();
    this.#inbox.close();
    this.#notifier.flush();
  }

  /** About once a second. */
  tick(now_s: number): void {
    this.#refusals.tick(performance.now());
    if (!this.monitors.wants("peer")) return;
    for (const event of this.#peers.look(now_s)) this.peer(event);
  }

  /** Something became of a peer. */
  peer(event: Omit<PeerEvent, "time_ms">): void {
    this.monitors.publish({ ...event, time_ms: eventTime_ms() });
  }

  /** Does anybody hear of changes of this tunnel's FDB? */
  #hears(tunnel: VxlanRuntime): boolean {
    return tunnel.config.notify || this.monitors.wants("fdb", tunnel.config.name);
  }

  /** From TableChanges. */
  fdb(change: FdbTableChange): void {
    const { op, tunnel, mac, state, router, externLearn, dst, port, vni, idle_s } = change;
    if (!this.#hears(tunnel)) return;
    this.#inbox.drain(); // what workers saw before
    const known = dst !== undefined;
    this.#tellFdb(tunnel, {
      op,
      mac,
      router,
      externLearn,
      state: idle_s === undefined ? STATE_WORDS[state] : "stale",
      dst,
      port: known && port !== tunnel.config.port ? port : undefined,
      vni: known && vni !== tunnel.config.vni ? vni : undefined,
      idle_s: idle_s ?? 0,
    });
  }

  /** From TableChanges. */
  neigh({ op, tunnel, ip, mac, state, router }: NeighTableChange): void {
    this.monitors.publish({
      ...{ kind: "neigh", time_ms: eventTime_ms(), dev: tunnel.config.name, op, ip, mac },
      state: state === "noarp" ? "NOARP" : "PERMANENT",
      ...(router ? { router } : {}),
    });
  }

  /** From the inbox. */
  take(record: Int32Array): void {
    const tunnel = this.#tunnels[record[EVENT_TUNNEL]];
    const kind = record[EVENT_KIND];
    if (kind === EVENT_REFUSED) return this.#refused(tunnel, record);
    if (tunnel.type !== "vxlan") return;
    if (kind !== EVENT_L2MISS && kind !== EVENT_L3MISS) return this.#learned(tunnel, record);
    // Those beyond what a worker may report per second; the next one has their number.
    if (record[EVENT_UNREPORTED] > 0) this.lost(record[EVENT_UNREPORTED]);
    if (kind === EVENT_L2MISS) this.#missMac(tunnel, record);
    else this.#missIp(tunnel, record);
  }

  /** From the inbox. */
  lost(count: number): void {
    this.monitors.lost(count);
  }

  #learned(tunnel: VxlanRuntime, record: Int32Array): void {
    const place = this.#place(tunnel, record[EVENT_REMOTE]);
    if (place.dst === undefined) return; // its remote is gone, and the entry with it
    const old = record[EVENT_OLD_REMOTE];
    const from = old < 0 ? undefined : this.#place(tunnel, old).dst;
    const mac = macIn(record);
    // What a user gave with flags keeps them when it moves.
    const flags = tunnel.fdb.get(mac.hi, mac.lo)?.flags ?? 0;
    const router = (flags & FDB_ROUTER) !== 0;
    const externLearn = (flags & FDB_EXTERN) !== 0;
    const facts = { op: "new", mac, state: "reachable", router, externLearn } as const;
    this.#tellFdb(tunnel, { ...facts, ...place, idle_s: 0 }, from);
  }

  #tellFdb(tunnel: VxlanRuntime, facts: FdbFacts, from?: FdbFacts["dst"]): void {
    if (tunnel.config.notify) this.#notifier.fdb(tunnel, facts);
    const dev = tunnel.config.name;
    if (!this.monitors.wants("fdb", dev)) return;
    const { op, mac, state, router, externLearn, dst, port, vni } = facts;
    const event: FdbEvent = { kind: "fdb", time_ms: eventTime_ms(), dev, op, mac: "", state };
    event.mac = formatMac(mac.hi, mac.lo);
    if (dst !== undefined) event.dst = formatIp(...dst);
    if (port !== undefined) event.port = port;
    if (vni !== undefined) event.vni = vni;
    if (router) event.router = true;
    if (externLearn) event.extern_learn = true;
    if (from !== undefined) event.from = formatIp(...from);
    this.monitors.publish(event);
  }

  #missMac(tunnel: VxlanRuntime, record: Int32Array): void {
    const mac = macIn(record);
    if (tunnel.config.notify) this.#notifier.missMac(tunnel, mac);
    const time_ms = eventTime_ms();
    const dev = tunnel.config.name;
    this.monitors.publish({ kind: "miss", time_ms, dev, mac: formatMac(mac.hi, mac.lo) });
  }

  #missIp(tunnel: VxlanRuntime, record: Int32Array): void {
    const address = addressIn(record);
    if (tunnel.config.notify) this.#notifier.missIp(tunnel, address);
    const time_ms = eventTime_ms();
    this.monitors.publish({
      ...{ kind: "miss", time_ms, dev: tunnel.config.name },
      ip: formatIp(...address),
    });
  }

  #refused({ config }: TunnelRuntime, record: Int32Array): void {
    const { name: reason, meaning } = DROP_REASONS[record[EVENT_REASON]];
    const row = record[EVENT_REMOTE];
    const address = row < 0 ? addressIn(record) : this.#remotes.get(row)?.address;
    const source = address === undefined ? undefined : formatIp(...address);
    const now_ms = performance.now();
    const refusal = { dev: config.name, reason, meaning };
    this.#refusals.refused({ ...refusal, source, count: record[EVENT_COUNT] }, now_ms);
    const others = record[EVENT_UNREPORTED];
    if (others === 0) return;
    this.#refusals.refused({ ...refusal, source: undefined, count: others }, now_ms);
  }

  /** Where a row of the remote table is, in the words of the FDB. */
  #place({ config }: VxlanRuntime, row: number): Place {
    const remote = this.#remotes.get(row);
    return {
      dst: remote?.address,
      port: remote === undefined || remote.port === config.port ? undefined : remote.port,
      vni: remote === undefined || remote.vni === config.vni ? undefined : remote.vni,
    };
  }

  #monitorsChanged(): void {
    this.#tellWorkers();
    if (this.monitors.wants("peer")) this.#peers.begin(monotonicSeconds());
    else this.#peers.forget();
  }

  #tellWorkers(): void {
    for (const tunnel of this.#tunnels) {
      this.#inbox.want(tunnel.index, eventBit(EVENT_REFUSED) | this.#wanted(tunnel));
    }
  }

  #wanted(tunnel: TunnelRuntime): number {
    if (tunnel.type !== "vxlan") return 0;
    const { notify, l2miss, l3miss, name } = tunnel.config;
    let kinds = this.#hears(tunnel) ? LEARNING : 0;
    if (notify || this.monitors.wants("miss", name)) {
      if (l2miss) kinds |= eventBit(EVENT_L2MISS);
      if (l3miss) kinds |= eventBit(EVENT_L3MISS);
    }
    return kinds;
  }
}

const macIn = (record: Int32Array) => ({
  hi: record[EVENT_MAC_HI],
  lo: record[EVENT_MAC_LO] >>> 0,
});

function addressIn(record: Int32Array): readonly [number, number, number, number] {
  const word = (i: number) => record[EVENT_ADDRESS + i] >>> 0;
  return [word(0), word(1), word(2), word(3)];
}
