// Tells the host's own tools what the kernel's vxlan device would tell them (`bridge monitor fdb`,
// `ip monitor neigh`): changes of forwarding entries and misses of tunnels with `notify`. What
// cannot be sent is nobody's trouble but the listeners': it is logged, seldom, and forgotten.
//
// Neighbours need nothing here: culvert sets them on the device, and the kernel tells of that.

import type { FdbEvent } from "../control/monitor-events.js";
import {
  familyOf,
  type NeighbourNotification,
  NeighbourNotifications,
} from "../netlink/neighbour-notifications.js";
import { AddressFamily, NeighbourFlag, NeighbourState } from "../netlink/rtnetlink-constants.js";
import type { Logger } from "../telemetry/log.js";
import { RateLimiter } from "../telemetry/rate-limiter.js";
import type { Mac } from "../wire/mac.js";
import { errnoName } from "./errno-error.js";
import type { VxlanRuntime } from "./tunnel.js";

type Words = readonly [number, number, number, number];

/** As vxlan_fdb_info has them. */
const STATES: Readonly<Record<FdbEvent["state"], number>> = {
  permanent: NeighbourState.noArp | NeighbourState.permanent,
  static: NeighbourState.noArp | NeighbourState.reachable,
  reachable: NeighbourState.reachable,
  stale: NeighbourState.stale,
};
const LOG_LIMITS = { interval_ms: 60_000, maxKeys: 8 };

export interface FdbFacts {
  readonly op: FdbEvent["op"];
  readonly mac: Mac;
  readonly state: FdbEvent["state"];
  readonly router: boolean;
  readonly externLearn: boolean;
  /** Undefined when the remote is no longer known. */
  readonly dst: Words | undefined;
  readonly port: number | undefined;
  readonly vni: number | undefined;
  /** Seconds since it was heard. */
  readonly idle_s: number;
}

export class NeighbourNotifier {
  readonly #messages: NeighbourNotifications;
  #scheduled = false;

  /** @param send gives a datagram to the listeners; returns -errno when it cannot */
  constructor(send: (datagram: Uint8Array, length: number) => number, log: Logger) {
    const limiter = new RateLimiter(LOG_LIMITS);
    this.#messages = new NeighbourNotifications((datagram, length) => {
      const result = send(datagram, length);
      if (result >= 0) return;
      const errno = errnoName(result);
      const report = limiter.take(errno, "other", 1, performance.now());
      if (report === undefined) return;
      const count = report.amount;
      log.warn({ errno, count }, "cannot notify `bridge monitor` of forwarding entries");
    });
  }

  fdb(tunnel: VxlanRuntime, facts: FdbFacts): void {
    // A plain literal: for batches of changes, spreads would cost more than all the rest.
    this.#add({
      type: facts.op,
      ifindex: tunnel.device.ifindex,
      family: AddressFamily.bridge,
      state: STATES[facts.state],
      flags:
        NeighbourFlag.self |
        (facts.router ? NeighbourFlag.router : 0) |
        (facts.externLearn ? NeighbourFlag.externLearn : 0),
      mac: facts.mac,
      address: facts.dst,
      port: facts.port,
      vni: facts.vni,
      idle_s: facts.idle_s,
    });
  }

  /** l2miss: `bridge monitor` and `ip monitor neigh` print `miss ... lladdr MAC`. */
  missMac({ device: { ifindex } }: VxlanRuntime, mac: Mac): void {
    const family = AddressFamily.inet;
    this.#add({ type: "miss", ifindex, family, state: NeighbourState.stale, flags: 0, mac });
  }

  /** l3miss: `miss IP ...`. */
  missIp({ device: { ifindex } }: VxlanRuntime, address: Words): void {
    const family = familyOf(address);
    this.#add({ type: "miss", ifindex, family, state: NeighbourState.stale, flags: 0, address });
  }

  /** Sends what waits. */
  flush(): void {
    this.#scheduled = false;
    this.#messages.flush();
  }

  /** What comes in one turn of the event loop leaves together. */
  #add(notification: NeighbourNotification): void {
    this.#messages.add(notification);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
  }
}
