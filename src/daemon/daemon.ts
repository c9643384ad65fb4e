// The daemon's life: open everything, start the workers, answer the control socket, age the tables,
// stop and leave nothing behind.
//
//   config -> netlink -> sockets and devices -> tables -> links up -> workers -> control socket ->
//   ready
//
// Links come up before the workers run: what arrives in between waits in queues, and a device that
// is down would refuse it. Whatever was opened is closed on a failure, and with the last descriptor
// of a device the kernel removes the device, its addresses and its routes.

import type { Config } from "../config/effective.js";
import { type ControlServer, startControlServer } from "../control/server.js";
import { culvertVersion } from "../control/version.js";
import { openNetlink } from "../netlink/native-transport.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { RemoteTable } from "../remotes/remote-table.js";
import { monotonicSeconds } from "../shared-memory/clock.js";
import { Counters } from "../telemetry/counters.js";
import type { Logger } from "../telemetry/log.js";
import type { MetricsServer } from "../telemetry/metrics.js";
import { Ageing } from "./ageing.js";
import type { ControlContext } from "./control/context.js";
import { countersReport } from "./control/reports.js";
import { controlTarget } from "./control/target.js";
import { Descriptors } from "./descriptors.js";
import { FdbEntries } from "./fdb-entries.js";
import { Offloads } from "./offloads.js";
import { ipipLocals, openTunnels } from "./open-tunnel.js";
import { Peers } from "./peers.js";
import { workerPlans } from "./plans.js";
import { setUpLinks } from "./set-up-link.js";
import { Sockets } from "./sockets.js";
import { TableChanges } from "./table-changes.js";
import type { TunnelRuntime } from "./tunnel.js";
import { autoWorkers, Workers } from "./workers.js";

const METRICS_OFF = "off";

export class Daemon {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #descriptors = new Descriptors();
  readonly #workers: Workers;
  #rtnl: NetlinkSocket | undefined;
  #control: ControlServer | undefined;
  #metrics: MetricsServer | undefined;
  #ageing: Ageing | undefined;

  private constructor(config: Config, log: Logger, onFailure: (error: Error) => void) {
    this.#config = config;
    this.#log = log;
    this.#workers = new Workers(log, onFailure);
  }

  /**
   * Starts a daemon; it forwards when this resolves. On an error everything is closed again.
   * @param onFailure told when a running daemon can no longer do its work; the caller stops it
   */
  static async start(
    config: Config,
    log: Logger,
    onFailure: (error: Error) => void,
  ): Promise<Daemon> {
    const daemon = new Daemon(config, log, onFailure);
    try {
      await daemon.#open();
    } catch (error) {
      await daemon.stop();
      throw error;
    }
    return daemon;
  }

  /**
   * Stops forwarding, closes everything; devices, addresses and routes are gone when this resolves.
   */
  async stop(): Promise<void> {
    this.#ageing?.stop();
    await this.#control?.close();
    await this.#metrics?.close();
    await this.#workers.stop();
    this.#descriptors.closeAll();
    this.#rtnl?.close();
  }

  async #open(): Promise<void> {
    const config = this.#config;
    const descriptors = this.#descriptors;
    const workers = config.workers === "auto" ? autoWorkers() : config.workers;
    const rtnl = openNetlink();
    this.#rtnl = rtnl;
    const offloads = new Offloads(config.offloads);
    const remotes = RemoteTable.create({ maxTunnels: config.tunnels.length });
    const counters = Counters.create({ workers, maxTunnels: config.tunnels.length });
    const sockets = new Sockets(descriptors, rtnl, workers, offloads.udpGro);
    const changes = new TableChanges();
    const peers = new Peers(remotes, counters, changes);
    const fdbEntries = new FdbEntries(remotes, peers, changes);
    const parts = {
      ...{ rtnl, descriptors, offloads, sockets },
      ...{ remotes, peers, fdbEntries, workers },
    };
    const tunnels = openTunnels(config, parts);
    const ipipReceivers = ipipLocals(tunnels).map((local) =>
      sockets.raw({ local, dev: "" }, "receive"),
    );
    const planParts = {
      ...{ workers, busyPoll_us: config.busy_poll_us, tunnels },
      ...{ remotes, counters, descriptors, ipipReceivers },
    };
    warnOfLargeMtus(tunnels, this.#log);
    setUpLinks(rtnl, tunnels, this.#log);
    await this.#workers.start(workerPlans(planParts));
    const started_s = monotonicSeconds();
    const context = {
      ...{ tunnels, remotes, peers, fdbEntries, changes },
      ...{ counters, rtnl, offloads, workers, started_s },
    };
    await this.#serve(context);
    this.#ageing = new Ageing(tunnels, peers, fdbEntries);
    this.#ageing.start();
    this.#log.info(
      {
        version: culvertVersion(),
        workers,
        offloads: offloads.summary(),
        tunnels: tunnels.map(({ config }) => config.name),
        socket: config.control.socket,
        metrics: config.metrics.listen,
      },
      "forwarding",
    );
  }

  async #serve(context: ControlContext): Promise<void> {
    const { control, metrics } = this.#config;
    this.#control = await startControlServer({
      socketPath: control.socket,
      target: controlTarget(context),
      log: this.#log,
    });
    if (metrics.listen === METRICS_OFF) return;
    const { startMetricsServer } = await import("../telemetry/metrics.js");
    const sample = () => countersReport(context);
    const options = { listen: metrics.listen, sample, log: this.#log };
    this.#metrics = await startMetricsServer(options);
  }
}

/**
 * An MTU that the underlay cannot carry is allowed, as with `ip link set mtu`, and seldom meant.
 */
function warnOfLargeMtus(tunnels: readonly TunnelRuntime[], log: Logger): void {
  for (const { config, device, pathMtu_bytes: fits_bytes } of tunnels) {
    if (device.mtu_bytes <= fits_bytes) continue;
    const fate = config.type === "vxlan" ? "sent in fragments" : "refused";
    log.warn(
      { tunnel: config.name, mtu_bytes: device.mtu_bytes, fits_bytes },
      `packets longer than ${fits_bytes} bytes will be ${fate}: better set "mtu: auto"`,
    );
  }
}
