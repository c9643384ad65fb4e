// What the handlers of the control socket work on, made from a config as the daemon does it, but
// without devices, sockets and netlink: real tables, real counters.

import { loadConfig } from "../../../src/config/load.js";
import { deviceTunnels } from "../../../src/config/tunnel-kinds.js";
import type { ControlContext } from "../../../src/daemon/control/context.js";
import { FdbEntries } from "../../../src/daemon/fdb-entries.js";
import { Keepalives, type PeerChange } from "../../../src/daemon/keepalives.js";
import { Offloads } from "../../../src/daemon/offloads.js";
import { OuterHops } from "../../../src/daemon/outer-hops.js";
import { Peers } from "../../../src/daemon/peers.js";
import { PlainRoutes, plainRouteParts } from "../../../src/daemon/plain-routes.js";
import { TableChanges } from "../../../src/daemon/table-changes.js";
import {
  type IpipRuntime,
  ipipTables,
  pathMtu_bytes,
  type TunnelRuntime,
  type VxlanRuntime,
  vxlanTables,
} from "../../../src/daemon/tunnel.js";
import { TunnelRoutes } from "../../../src/daemon/tunnel-routes.js";
import { fillVxlan } from "../../../src/daemon/tunnel-tables.js";
import { NetlinkSocket } from "../../../src/netlink/netlink-socket.js";
import { KeepaliveRows } from "../../../src/remotes/keepalive-rows.js";
import { RemoteTable } from "../../../src/remotes/remote-table.js";
import { UnreachableRows } from "../../../src/remotes/unreachable-rows.js";
import { monotonicSeconds } from "../../../src/shared-memory/clock.js";
import { Counters, RemoteTotals, WorkerCounters } from "../../../src/telemetry/counters.js";
import { createLogger } from "../../../src/telemetry/log.js";
import { ip, mac } from "../forwarding/frames.js";
import { ScriptedTransport } from "../netlink/scripted-transport.js";
import { kernelRoute } from "./kernel-routes.js";

const OFFLOADS_OFF = {
  ...{ tso: false, uso: false, udp_segment: false, udp_gro: false, tun_checksum: false },
};

/** One VXLAN tunnel with a flood list and an entry, one IPIP tunnel with two routes. */
export const TWO_TUNNELS = `
tunnels:
  - name: vxlan100
    type: vxlan
    vni: 100
    local: 10.57.4.20
    max_entries: 4
    remotes: [10.57.4.21]
    fdb: [{ mac: "02:00:00:00:00:0b", dst: 10.57.4.22 }]
    neighbors: [{ ip: 192.168.11.1, mac: "02:00:00:00:00:0b" }]
  - name: ipip0
    type: ipip
    local: 10.57.4.20
    remote: any
    routes: [{ to: 192.168.11.0/24, via: 10.57.4.21 }, { to: 10.57.4.0/24 }]
`;

const DEVICE_MTU_BYTES = 1450;
const UNDERLAY_MTU_BYTES = 1500;

function deviceOf(name: string, index: number, kind: number) {
  const common = { name, kind, offloads: 0, mtu_bytes: DEVICE_MTU_BYTES };
  return { ...common, ifindex: 10 + index, fds: [100 + index, 200 + index] };
}

export interface KeepaliveRequest {
  readonly family: number;
  /** IPv4, unsigned. */
  readonly address: number;
  readonly port: number;
  readonly bytes: Uint8Array;
}

export interface ControlFixture extends ControlContext {
  readonly tunnels: readonly TunnelRuntime[];
  readonly vxlan: VxlanRuntime;
  readonly ipip: IpipRuntime;
  readonly rows: KeepaliveRows;
  /** Keepalives that were sent. */
  readonly sent: KeepaliveRequest[];
  readonly peerChanges: readonly PeerChange[];
  /** What one worker counts with. */
  readonly worker: WorkerCounters;
}

/**
 * @param script answers of the kernel to netlink requests, one list of datagrams each
 * @param maxRemotes remotes of the daemon
 */
export function controlContext(
  text = TWO_TUNNELS,
  script: Uint8Array[][] = [],
  maxRemotes = 64,
): ControlFixture {
  const { config, problems } = loadConfig(text, "test.yaml");
  if (config === undefined) throw new Error(JSON.stringify(problems));
  const remotes = RemoteTable.create({ maxTunnels: config.tunnels.length, maxRemotes });
  const counters = Counters.create({ workers: 2, maxTunnels: config.tunnels.length, maxRemotes });
  const changes = new TableChanges();
  const peers = new Peers(remotes, counters, changes);
  const fdbEntries = new FdbEntries(remotes, peers, changes);
  const mirrored = new Map<IpipRuntime, TunnelRoutes>();
  const tunnels = deviceTunnels(config).map((tunnel, index): TunnelRuntime => {
    const local = ip(tunnel.local ?? "10.57.4.20");
    const fits_bytes = pathMtu_bytes(tunnel.type, local, UNDERLAY_MTU_BYTES);
    const mtu = { underlayMtu_bytes: UNDERLAY_MTU_BYTES, pathMtu_bytes: fits_bytes };
    const common = { index, local, ...mtu };
    const senders = [[50, 51], [60]];
    if (tunnel.type === "vxlan") {
      remotes.defineTunnel(index, tunnel.port, tunnel.vni);
      const device = deviceOf(tunnel.name, index, 2);
      const sockets = {
        senders,
        socketCount: 1,
        receivers: [40, 41],
        groupReceiver: 45,
        udpSegment: true,
      };
      const runtime: VxlanRuntime = {
        ...{
          ...common,
          ...sockets,
          ...vxlanTables(tunnel, remotes),
          type: "vxlan",
          config: tunnel,
          device,
        },
        mac: mac("02:00:00:00:00:01"),
      };
      fillVxlan(runtime, fdbEntries);
      return runtime;
    }
    remotes.defineTunnel(index, 0, 0);
    const pointToPoint = tunnel.remote !== "any";
    const runtime: IpipRuntime = {
      ...{
        ...common,
        ...ipipTables(),
        type: "ipip",
        config: tunnel,
        senders: [
          [70, 72, -1],
          [71, 73, -1],
        ],
      },
      device: deviceOf(tunnel.name, index, 1),
      remote: pointToPoint ? ip(tunnel.remote) : undefined,
      remoteRow: pointToPoint ? peers.acquire(index, tunnel.remote) : -1,
    };
    const routes = new TunnelRoutes(runtime, new OuterHops(runtime, peers));
    for (const { to, via } of tunnel.routes) {
      const hops = [{ via, ifindex: runtime.device.ifindex }];
      routes.change("add", kernelRoute({ to, hops }));
    }
    mirrored.set(runtime, routes);
    return runtime;
  });
  const peerChanges: PeerChange[] = [];
  const rows = KeepaliveRows.create(0x1a2b3c4d, maxRemotes);
  const sent: KeepaliveRequest[] = [];
  const keepalives = new Keepalives({
    ...{ tunnels, remotes, rows, totals: new RemoteTotals(counters.sharedState()) },
    counters: new WorkerCounters(counters.sharedState(), 0),
    datagrams: () => ({
      sendDatagram: (family, words, at, port, bytes) => {
        sent.push({ family, address: words[at + 3] >>> 0, port, bytes: bytes.slice() });
        return 0;
      },
    }),
    onChange: (change) => peerChanges.push(change),
    random: () => 0.5,
  });
  const rtnl = new NetlinkSocket(new ScriptedTransport(...script));
  const log = createLogger({ level: "fatal" });
  return {
    unreachable: UnreachableRows.create(remotes.rows, maxRemotes),
    mirror: { of: (tunnel: IpipRuntime) => mirrored.get(tunnel)! },
    plainRoutes: new PlainRoutes(config, tunnels, plainRouteParts(rtnl, log)),
    ...{ rtnl, rows, sent, peerChanges, keepalives },
    ...{ tunnels, remotes, peers, fdbEntries, changes, counters, workers: 2 },
    started_s: monotonicSeconds(),
    worker: new WorkerCounters(counters.sharedState(), 1),
    offloads: new Offloads(OFFLOADS_OFF),
    vxlan: tunnels.find((tunnel): tunnel is VxlanRuntime => tunnel.type === "vxlan")!,
    ipip: tunnels.find((tunnel): tunnel is IpipRuntime => tunnel.type === "ipip")!,
  };
}
