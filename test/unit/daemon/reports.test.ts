// `culvert counters`: the report is made from the counters' one table and sums over the workers.

import { describe, expect, it } from "vitest";
import { countersReport } from "../../../src/daemon/control/reports.js";
import {
  NO_TUNNEL,
  RemoteCounter,
  TunnelCounter,
  WorkerCounters,
} from "../../../src/telemetry/counters.js";
import { canHappen, DROP_REASONS, DropReasons } from "../../../src/telemetry/drop-reasons.js";
import { controlContext } from "./control-context.js";

describe("countersReport", () => {
  it("sums what all workers counted, per tunnel and per peer", () => {
    const context = controlContext();
    const workers = [0, 1].map((i) => new WorkerCounters(context.counters.sharedState(), i));
    const [row] = context.vxlan.flood.list();
    for (const worker of workers) {
      worker.addTunnel(0, TunnelCounter.egressPackets, 3);
      worker.addTunnel(0, TunnelCounter.ingressBytes, 500);
      worker.addRemote(row, RemoteCounter.egressPackets, 2);
    }
    const [vxlan, ipip] = countersReport(context).tunnels;
    expect(vxlan).toMatchObject({
      ...{
        name: "vxlan100",
        egress: { packets: 6, bytes: 0 },
        ingress: { packets: 0, bytes: 1000 },
      },
    });
    expect(vxlan.peers).toEqual([
      {
        ...{ address: "10.57.4.21", egress: { packets: 4, bytes: 0 } },
        ...{ ingress: { packets: 0, bytes: 0 }, drops: [] },
      },
      {
        ...{ address: "10.57.4.22", egress: { packets: 0, bytes: 0 } },
        ...{ ingress: { packets: 0, bytes: 0 }, drops: [] },
      },
    ]);
    expect(ipip).toMatchObject({ name: "ipip0", egress: { packets: 0, bytes: 0 } });
  });

  it("tells what was dropped of a peer's packets, by what happened only", () => {
    const context = controlContext();
    const [row] = context.vxlan.flood.list();
    context.worker.dropOf(0, row, DropReasons.ecn.id, 3);
    context.worker.dropOf(0, row, DropReasons.tooBig.id, 1);
    context.worker.dropOf(0, -1, DropReasons.tooBig.id, 10);
    const [{ peers, drops }] = countersReport(context).tunnels;
    expect(peers.map((peer) => peer.drops)).toEqual([
      [
        { direction: "egress", reason: "too-big", count: 1 },
        { direction: "ingress", reason: "ecn", count: 3 },
      ],
      [],
    ]);
    expect(drops.find(({ reason }) => reason === "too-big")?.count).toBe(11);
  });

  it("names every drop reason that can happen, and what drops nothing under events", () => {
    const context = controlContext();
    context.worker.drop(0, DropReasons.l2miss.id, 7);
    context.worker.drop(0, DropReasons.fdbFull.id, 2);
    context.worker.addTunnel(0, TunnelCounter.learned, 5);
    context.worker.drop(NO_TUNNEL, DropReasons.unknownVni.id, 9);
    const report = countersReport(context);
    const [{ drops, events }] = report.tunnels;
    const names = DROP_REASONS.filter(
      (reason) => reason.kind === "drop" && canHappen(reason, "vxlan"),
    ).map(({ name }) => name);
    expect(drops.map(({ reason }) => reason)).toEqual(names);
    expect(names).toContain("gbp-denied");
    expect(names).not.toContain("ttl-zero");
    const ofIpip = report.tunnels[1].drops.map(({ reason }) => reason);
    expect(ofIpip).toContain("ttl-zero");
    for (const other of ["l2miss", "gbp-denied", "fdb-full"]) expect(ofIpip).not.toContain(other);
    expect(report.tunnels[1].events.map(({ event }) => event)).toEqual([
      ...["egress-superpackets", "ingress-superpackets", "icmp-errors", "fragmented"],
      ...["peer-unreachable", "icmp-ignored"],
    ]);
    const counted = (list: readonly { count: number }[]) => list.filter(({ count }) => count !== 0);
    expect(counted(drops)).toMatchObject([{ reason: "l2miss", direction: "egress", count: 7 }]);
    expect(counted(events)).toMatchObject([
      { event: "learned", count: 5 },
      { event: "fdb-full", count: 2 },
    ]);
    expect(counted(report.drops)).toMatchObject([{ reason: "unknown-vni", count: 9 }]);
    const traffic = ["egressPackets", "egressBytes", "ingressPackets", "ingressBytes"];
    const fields = Object.keys(TunnelCounter).filter((name) => !traffic.includes(name));
    const missed = DROP_REASONS.filter(
      (reason) => reason.kind === "event" && canHappen(reason, "vxlan"),
    );
    expect(events).toHaveLength(fields.length + missed.length);
  });

  it("shows a reason that cannot happen, should it have happened", () => {
    const context = controlContext();
    context.worker.drop(0, DropReasons.ttlZero.id, 1);
    const [{ drops }] = countersReport(context).tunnels;
    expect(drops.find(({ reason }) => reason === "ttl-zero")?.count).toBe(1);
  });

  it("lets a peer that takes a freed row begin at 0", () => {
    const context = controlContext(undefined, [], 3);
    const [row] = context.vxlan.flood.list();
    context.worker.addRemote(row, RemoteCounter.egressPackets, 5);
    context.vxlan.flood.remove(row);
    context.peers.releaseVxlan(context.vxlan, [row]);
    const again = context.peers.acquire(0, "10.57.4.40", 4789, 100);
    expect(again).toBe(row);
    const peers = countersReport(context).tunnels[0].peers;
    expect(peers.find(({ address }) => address === "10.57.4.40")?.egress.packets).toBe(0);
  });
});
