// A ControlTarget in plain arrays, for tests of the socket and of the commands: two tunnels, real
// behaviour, no packets. Remembers the last request, so that a test can see what crossed the
// socket.

import type {
  Batch,
  BatchResult,
  ControlTarget,
  CountersReport,
  DropCount,
  FdbChange,
  FdbEntry,
  FdbFlush,
  FdbPage,
  FdbPageQuery,
  FdbQuery,
  FlushResult,
  NeighChange,
  NeighEntry,
  NeighFlush,
  NeighQuery,
  RouteDecision,
  RouteEntry,
  RouteGet,
  RoutePage,
  RoutePageQuery,
  RouteQuery,
  StatusReport,
} from "../../../src/control/target.js";
import { runBatch } from "../../../src/daemon/control/batch.js";
import { CulvertError } from "../../../src/errors.js";

const DEVICES = ["vxlan100", "ipip0"];

const traffic = (packets: number, bytes: number) => ({ packets, bytes });

function drops(counts: Record<string, number>): DropCount[] {
  return Object.entries(counts).map(([reason, count]) => ({
    direction: reason === "l2miss" ? "egress" : "ingress",
    reason,
    meaning: `Meaning of ${reason}.`,
    count,
  }));
}

function requireDevice(dev: string | undefined): void {
  if (dev !== undefined && !DEVICES.includes(dev)) {
    throw new CulvertError("CULVERT_NO_TUNNEL", `no tunnel is named ${dev}`, {
      hint: `tunnels: ${DEVICES.join(", ")}`,
    });
  }
}

/** Whether the entry has every field of the query; an absent field matches everything. */
function matches<T extends object>(entry: T, query: Partial<Record<keyof T, unknown>>): boolean {
  return Object.entries(query).every(
    ([field, wanted]) => wanted === undefined || entry[field as keyof T] === wanted,
  );
}

export class MemoryTarget implements ControlTarget {
  fdb: FdbEntry[] = [];
  neigh: NeighEntry[] = [];
  routes: RouteEntry[] = [
    {
      ...{ dst: "192.168.11.0/24", gateway: "10.57.4.21", dev: "ipip1", protocol: "static" },
      flags: ["onlink"],
    },
    { dst: "192.168.12.0/24", dev: "ipip0", protocol: "boot", scope: "link", flags: [] },
  ];
  /** Method and argument of the last request that reached the target. */
  last: [operation: string, argument?: object] | undefined;
  /** Every batch, in order. */
  batches: Batch<object>[] = [];
  /** Thrown by `status`, for tests of unexpected failures. */
  failure: Error | undefined;
  private scale = 1;

  status(): StatusReport {
    this.last = ["status"];
    if (this.failure !== undefined) throw this.failure;
    return {
      version: "0.1.0",
      pid: 4242,
      uptime_s: 7384,
      workers: 1,
      offloads: {
        tso4: { enabled: true },
        uso: { enabled: false, reason: "turned off in the config" },
        udp_segment: { enabled: true },
        udp_gro: { enabled: false },
      },
      route_tunnels: [],
      tunnels: [
        {
          name: "vxlan100",
          type: "vxlan",
          vni: 100,
          local: "10.57.4.20",
          port: 4789,
          mtu_bytes: 1450,
          mac: "02:00:00:00:00:0a",
          up: true,
          addresses: ["192.168.10.1/24"],
          remotes: [
            {
              address: "10.57.4.21",
              last_seen_s_ago: 3,
              ...{ state: "up", rtt_us: 1254, loss: { egress: 0.015, ingress: 0 } },
              ...{ macs: 12, pmtu_bytes: 1500 },
              flags: ["flood"],
              egress: traffic(1234, 1_500_000),
              ingress: traffic(999, 2048),
            },
            {
              address: "fd00::22",
              port: 8472,
              vni: 7,
              last_seen_s_ago: null,
              ...{ state: "unknown", rtt_us: null, loss: { egress: null, ingress: null } },
              ...{ macs: 0, pmtu_bytes: 9000 },
              flags: ["learned", "no-gso"],
              egress: traffic(0, 0),
              ingress: traffic(0, 0),
            },
          ],
          fdb_entries: this.fdb.length,
          neigh_entries: this.neigh.length,
          route_entries: 1,
        },
        {
          name: "ipip0",
          type: "ipip",
          local: "10.57.4.20",
          mtu_bytes: 1480,
          up: false,
          addresses: [],
          remotes: [
            {
              ...{ address: "10.57.4.22", last_seen_s_ago: 61, pmtu_bytes: 1500, flags: [] },
              ...{ egress: traffic(1, 84), ingress: traffic(0, 0) },
            },
          ],
          fdb_entries: 0,
          neigh_entries: 0,
          route_entries: 1,
        },
      ],
    };
  }

  /** Every call counts on: 1000 packets of 1000 bytes more, one drop more. */
  counters(): CountersReport {
    this.last = ["counters"];
    const n = this.scale++;
    return {
      tunnels: [
        {
          name: "vxlan100",
          egress: traffic(1000 * n, 1_000_000 * n),
          ingress: traffic(10 * n, 640 * n),
          drops: drops({ l2miss: n, ttl_zero: 0 }),
          events: [
            { event: "learned", meaning: "A MAC was learned.", count: 4 * n },
            { event: "floods", meaning: "A frame was flooded.", count: 0 },
          ],
          peers: [
            {
              address: "10.57.4.21",
              egress: traffic(1000 * n, 1_000_000 * n),
              ingress: traffic(10 * n, 640 * n),
              drops: [{ direction: "ingress", reason: "ecn", count: 3 * n }],
            },
          ],
        },
        {
          name: "ipip0",
          egress: traffic(0, 0),
          ingress: traffic(0, 0),
          drops: [],
          events: [],
          peers: [],
        },
      ],
      drops: drops({ unknown_vni: 5, bad_flags: 0 }),
    };
  }

  fdbShow(query: FdbQuery): FdbEntry[] {
    this.last = ["fdbShow", query];
    requireDevice(query.dev);
    return this.fdb.filter((entry) => matches(entry, query));
  }

  /** Two lines a page. */
  fdbPage(asked: FdbPageQuery): FdbPage {
    const { from = 0, states, ...query } = asked;
    // Of several pages the first request: what the others add is `from`.
    if (asked.from === undefined) this.last = ["fdbPage", asked];
    requireDevice(query.dev);
    const all = this.fdb
      .filter((entry) => matches(entry, query))
      .filter((entry) => states?.includes(entry.state) ?? true);
    const next = from + 2;
    return { entries: all.slice(from, next), ...(next < all.length ? { next } : {}) };
  }

  fdbBatch(batch: Batch<FdbChange>): BatchResult {
    const result = runBatch(batch, (change) => this.fdbChange(change));
    this.batches.push(batch);
    return result;
  }

  neighBatch(batch: Batch<NeighChange>): BatchResult {
    const result = runBatch(batch, (change) => this.neighChange(change));
    this.batches.push(batch);
    return result;
  }

  fdbChange(change: FdbChange): void {
    this.last = ["fdbChange", change];
    requireDevice(change.dev);
    const { op, dev, mac, dst, port, vni, state = "permanent" } = change;
    const flags = { ...(change.router ? { router: true as const } : {}) };
    const found = this.fdb.filter((entry) => matches(entry, { dev, mac }));
    if (op === "del" && found.length === 0) {
      throw new CulvertError("CULVERT_FDB_NOT_FOUND", `${dev} has no entry for ${mac}`);
    }
    if (op === "add" && found.length > 0) {
      throw new CulvertError("CULVERT_FDB_EXISTS", `${dev} has an entry for ${mac}`, {
        hint: "use replace",
      });
    }
    if (op === "del" || op === "replace") {
      this.fdb = this.fdb.filter((entry) => !matches(entry, { dev, mac }));
    }
    if (op === "del" || dst === undefined) return;
    this.fdb.push({ dev, mac, dst, port, vni, state, ...flags, used_s: 0, updated_s: 0 });
  }

  fdbFlush(query: FdbFlush): FlushResult {
    this.last = ["fdbFlush", query];
    requireDevice(query.dev);
    const { states, ...rest } = query;
    const before = this.fdb.length;
    this.fdb = this.fdb.filter(
      (entry) => !matches(entry, rest) || states?.includes(entry.state) === false,
    );
    return { removed: before - this.fdb.length };
  }

  neighShow(query: NeighQuery): NeighEntry[] {
    this.last = ["neighShow", query];
    requireDevice(query.dev);
    const { state, ...rest } = query;
    return this.neigh
      .filter((entry) => matches(entry, rest))
      .filter((entry) => state === undefined || entry.state === state.toUpperCase());
  }

  neighChange(change: NeighChange): void {
    this.last = ["neighChange", change];
    requireDevice(change.dev);
    const { op, dev, ip, mac } = change;
    this.neigh = this.neigh.filter((entry) => !matches(entry, { dev, ip }));
    const state = change.state === "noarp" ? "NOARP" : "PERMANENT";
    const flags = change.router ? { router: true as const } : {};
    if (op !== "del") this.neigh.push({ dev, ip, mac, state, ...flags });
  }

  neighFlush(query: NeighFlush): FlushResult {
    this.last = ["neighFlush", query];
    requireDevice(query.dev);
    const { states, ...rest } = query;
    const before = this.neigh.length;
    const stays = (entry: NeighEntry) =>
      states?.some((state) => state.toUpperCase() === entry.state) === false;
    this.neigh = this.neigh.filter((entry) => !matches(entry, rest) || stays(entry));
    return { removed: before - this.neigh.length };
  }

  routeShow(query: RouteQuery): RouteEntry[] {
    this.last = ["routeShow", query];
    requireDevice(query.dev);
    return this.routes.filter((entry) => matches(entry, query));
  }

  /** Pages of one route, so that whoever reads them has to go on. */
  routePage(query: RoutePageQuery): RoutePage {
    this.last = ["routePage", query];
    requireDevice(query.dev);
    const { dev, from = 0 } = query;
    const all = this.routes.filter((entry) => matches(entry, { dev }));
    const next = from + 1;
    return { routes: all.slice(from, next), ...(next < all.length ? { next } : {}) };
  }

  routeGet(query: RouteGet): RouteDecision {
    this.last = ["routeGet", query];
    requireDevice(query.dev);
    if (!query.to.startsWith("192.168.11.")) {
      throw new CulvertError("CULVERT_NO_ROUTE", `no tunnel has a route to ${query.to}`);
    }
    return {
      to: query.to,
      dev: "vxlan100",
      match: "192.168.11.0/24",
      outer: "10.57.4.21",
      why: "the next hop 192.168.11.1 is behind this remote",
    };
  }
}

export interface LogLine {
  level: "debug" | "warn" | "error";
  fields: object;
  message: string;
}

/** A ControlLog that keeps its lines. */
export function memoryLog() {
  const lines: LogLine[] = [];
  const keep = (level: LogLine["level"]) => (fields: object, message: string) => {
    lines.push({ level, fields, message });
  };
  return { lines, debug: keep("debug"), warn: keep("warn"), error: keep("error") };
}
