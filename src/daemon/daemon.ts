// The daemon's life: open everything, start the workers, answer the control socket, age the tables,
// stop and leave nothing behind.
//
//   config -> netlink -> sockets and devices -> tables -> links up -> routes mirrored -> workers ->
//   control socket -> ready
//
// Links come up before the workers run: what arrives in between waits in queues, and a device that
// is down would refuse it. Whatever was opened is closed on a failure, and with the last descriptor
// of a device the kernel removes the device, its addresses and its routes.

import { randomBytes } from "node:crypto";
import { native } from "#native";
import type { Config, RouteConfig } from "../config/effective.js";
import { deviceTunnels } from "../config/tunnel-kinds.js";
import { type ControlServer, startControlServer } from "../control/server.js";
import { claimSocketPath } from "../control/socket-path.js";
import { culvertVersion } from "../control/version.js";
import { EventInbox } from "../events/event-inbox.js";
import { NeighbourListeners, openNetlink } from "../netlink/native-transport.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { KeepaliveRows } from "../remotes/keepalive-rows.js";
import { RemoteTable } from "../remotes/remote-table.js";
import { UnreachableRows } from "../remotes/unreachable-rows.js";
import { monotonicSeconds } from "../shared-memory/clock.js";
import { Counters, RemoteTotals, WorkerCounters } from "../telemetry/counters.js";
import type { Logger } from "../telemetry/log.js";
import type { MetricsServer } from "../telemetry/metrics.js";
import { UdpDatagrams } from "../underlay/native-underlay.js";
import { formatIp } from "../wire/ip-address.js";
import { Ageing } from "./ageing.js";
import type { ControlContext } from "./control/context.js";
import { metricsSample } from "./control/reports.js";
import { controlTarget } from "./control/target.js";
import { Descriptors } from "./descriptors.js";
import { DaemonEvents } from "./events.js";
import { FdbEntries } from "./fdb-entries.js";
import { GroupSockets } from "./group-sockets.js";
import { type KeepaliveParts, Keepalives } from "./keepalives.js";
import { warnOfKernelTunnels } from "./kernel-tunnels.js";
import { Offloads } from "./offloads.js";
import { requireOpenFiles } from "./open-files.js";
import { ipipEndpoints } from "./open-ipip.js";
import { openTunnels } from "./open-tunnel.js";
import { PathMtus } from "./path-mtus.js";
import { Peers } from "./peers.js";
import { PlainRoutes, plainRouteParts } from "./plain-routes.js";
import { workerPlans } from "./plans.js";
import { Progress } from "./progress.js";
import { removeDevices } from "./remove-devices.js";
import { RouteMirror } from "./route-mirror.js";
import { setUpLinks } from "./set-up-link.js";
import { Sockets } from "./sockets.js";
import { TableChanges } from "./table-changes.js";
import type { TunnelRuntime } from "./tunnel.js";
import { autoWorkers, Workers } from "./workers.js";

/** Tables of this size and more become resident page by page, as they fill. */
const LARGE_BYTES = 128 * 1024;
const METRICS_OFF = "off";
const MAX_LOGGED_NAMES = 64;

export class Daemon {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #descriptors = new Descriptors();
  readonly #workers: Workers;
  #rtnl: NetlinkSocket | undefined;
  #listeners: NeighbourListeners | undefined;
  #events: DaemonEvents | undefined;
  #control: ControlServer | undefined;
  #metrics: MetricsServer | undefined;
  #ageing: Ageing | undefined;
  #keepalives: Keepalives | undefined;
  #pathMtus: PathMtus | undefined;
  #mirror: RouteMirror | undefined;
  #plainRoutes: PlainRoutes | undefined;
  /** As far as they were opened. */
  #tunnels: readonly TunnelRuntime[] = [];

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
    this.#keepalives?.stop();
    this.#pathMtus?.stop();
    this.#mirror?.stop();
    await this.#control?.close();
    await this.#metrics?.close();
    await this.#workers.stop();
    this.#events?.stop();
    this.#listeners?.close();
    this.#plainRoutes?.stop();
    if (this.#rtnl !== undefined) removeDevices(this.#rtnl, this.#tunnels, this.#log);
    this.#descriptors.closeAll();
    this.#rtnl?.close();
  }

  async #open(): Promise<void> {
    native.memoryMapFrom(LARGE_BYTES);
    const config = this.#config;
    const descriptors = this.#descriptors;
    const workers = config.workers === "auto" ? autoWorkers() : config.workers;
    requireOpenFiles(config, workers);
    const rtnl = openNetlink();
    this.#rtnl = rtnl;
    const offloads = new Offloads(config.offloads);
    // Tables have room for one tunnel at least, also where all are plain routes.
    const maxTunnels = Math.max(1, deviceTunnels(config).length);
    const remotes = RemoteTable.create({ maxTunnels });
    // One block more than workers: the main thread counts as well.
    const blocks = { workers: workers + 1, maxTunnels };
    const counters = Counters.create(blocks);
    const sockets = new Sockets(descriptors, rtnl, workers, offloads.udpGro);
    const groups = new GroupSockets(descriptors, offloads.udpGro);
    const changes = new TableChanges();
    const peers = new Peers(remotes, counters, changes);
    const fdbEntries = new FdbEntries(remotes, peers, changes);
    const parts = {
      ...{ rtnl, descriptors, offloads, sockets, groups },
      ...{ remotes, peers, fdbEntries, workers },
    };
    const tunnels = openTunnels(config, parts, new Progress(this.#log));
    this.#tunnels = tunnels;
    const ipipReceivers = ipipEndpoints(tunnels).map((endpoint) => ({
      ...{ ...endpoint, fd: sockets.raw({ local: endpoint.local, dev: "" }, endpoint.protocol) },
    }));
    const rows = KeepaliveRows.create(randomBytes(4).readUInt32BE());
    const unreachable = UnreachableRows.create(remotes.rows);
    const inbox = new EventInbox(workers, maxTunnels);
    const events = this.#openEvents(tunnels, remotes, inbox);
    const planParts = {
      ...{ workers, busyPoll_us: config.busy_poll_us, tunnels },
      ...{ remotes, counters, descriptors, ipipReceivers, keepalives: rows, events: inbox },
      unreachable,
    };
    warnOfLargeMtus(tunnels, this.#log);
    warnOfKernelTunnels(rtnl, tunnels, this.#log);
    const plainRoutes = await this.#startPlainRoutes(rtnl, tunnels, peers);
    const isTunnelled = (route: RouteConfig) => plainRoutes.isTunnelled(route);
    setUpLinks(rtnl, tunnels, isTunnelled, this.#log, new Progress(this.#log));
    const onChange = plainRoutes.needed ? () => plainRoutes.changed() : undefined;
    const mirror = new RouteMirror({ tunnels, peers, rtnl, log: this.#log, onChange });
    this.#mirror = mirror;
    await mirror.start();
    this.#pathMtus = new PathMtus(tunnels, remotes);
    this.#pathMtus.run();
    await this.#workers.start(workerPlans(planParts));
    const started_s = monotonicSeconds();
    const keepalives = this.#startKeepalives({ tunnels, remotes, rows }, counters, workers, events);
    const context = {
      ...{ tunnels, remotes, peers, mirror, fdbEntries, changes, keepalives, counters },
      ...{ rtnl, offloads, unreachable, plainRoutes, workers, started_s },
    };
    events.start(changes);
    await this.#serve(context, events);
    this.#ageing = new Ageing(tunnels, peers, fdbEntries, events);
    this.#ageing.start();
    this.#pathMtus.start();
    plainRoutes.watch();
    this.#log.info(
      {
        version: culvertVersion(),
        workers,
        offloads: offloads.summary(),
        ...namesOf(config),
        socket: config.control.socket,
        metrics: config.metrics.listen,
      },
      "forwarding",
    );
  }

  async #startPlainRoutes(
    rtnl: NetlinkSocket,
    tunnels: readonly TunnelRuntime[],
    peers: Peers,
  ): Promise<PlainRoutes> {
    // Beside the control socket lies what the last daemon there has set: not while it lives.
    await claimSocketPath(this.#config.control.socket);
    const parts = plainRouteParts(rtnl, this.#log);
    const plainRoutes = new PlainRoutes(this.#config, tunnels, parts);
    this.#plainRoutes = plainRoutes;
    for (const { tunnel, address } of plainRoutes.peers()) peers.acquire(tunnel, address);
    plainRoutes.start();
    return plainRoutes;
  }

  #openEvents(
    tunnels: readonly TunnelRuntime[],
    remotes: RemoteTable,
    inbox: EventInbox,
  ): DaemonEvents {
    const listeners = new NeighbourListeners();
    this.#listeners = listeners;
    const notify = (datagram: Uint8Array, length: number) => listeners.send(datagram, length);
    this.#events = new DaemonEvents({ tunnels, remotes, inbox, log: this.#log, notify });
    return this.#events;
  }

  #startKeepalives(
    tables: Pick<KeepaliveParts, "tunnels" | "remotes" | "rows">,
    counters: Counters,
    block: number,
    events: DaemonEvents,
  ): Keepalives {
    const state = counters.sharedState();
    const keepalives = new Keepalives({
      ...tables,
      ...{ totals: new RemoteTotals(state), counters: new WorkerCounters(state, block) },
      datagrams: ({ senders, config: { ttl } }) =>
        new UdpDatagrams(senders[0][0], ttl === "inherit" ? 0 : ttl),
      onChange: ({ tunnel, remote, state: change }) => {
        const address = tables.remotes.get(remote)?.address;
        if (address === undefined) return;
        const dev = tunnel.config.name;
        events.peer({ kind: "peer", dev, address: formatIp(...address), change });
      },
    });
    keepalives.start();
    this.#keepalives = keepalives;
    return keepalives;
  }

  async #serve(context: ControlContext, events: DaemonEvents): Promise<void> {
    const { control, metrics } = this.#config;
    this.#control = await startControlServer({
      socketPath: control.socket,
      target: controlTarget(context),
      events: events.monitors,
      log: this.#log,
    });
    if (metrics.listen === METRICS_OFF) return;
    const { startMetricsServer } = await import("../telemetry/metrics.js");
    const sample = () => metricsSample(context);
    const options = { listen: metrics.listen, sample, log: this.#log };
    this.#metrics = await startMetricsServer(options);
  }
}

/** For the log: the names of the tunnels, or of thousands their number. */
function namesOf({ tunnels }: Config): { tunnels: string[] | number } {
  if (tunnels.length > MAX_LOGGED_NAMES) return { tunnels: tunnels.length };
  return { tunnels: tunnels.map(({ name }) => name) };
}

/**
 * An MTU that the underlay cannot carry is allowed, as with `ip link set mtu`, and seldom meant.
 */
function warnOfLargeMtus(tunnels: readonly TunnelRuntime[], log: Logger): void {
  for (const { config, device, pathMtu_bytes: fits_bytes } of tunnels) {
    if (device.mtu_bytes <= fits_bytes) continue;
    log.warn(
      { tunnel: config.name, mtu_bytes: device.mtu_bytes, fits_bytes },
      `packets longer than ${fits_bytes} bytes will be sent in fragments or refused: better set "mtu: auto"`,
    );
  }
}
