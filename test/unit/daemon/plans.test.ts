// What each worker is told: its own queues and sockets, everybody's tables.

import { afterEach, describe, expect, it } from "vitest";
import { Descriptors } from "../../../src/daemon/descriptors.js";
import { workerPlans } from "../../../src/daemon/plans.js";
import { EventInbox } from "../../../src/events/event-inbox.js";
import { Fdb } from "../../../src/fdb/fdb.js";
import { RemoteTable } from "../../../src/remotes/remote-table.js";
import { RouteReader } from "../../../src/routes/route-table.js";
import { ip } from "../forwarding/frames.js";
import { controlContext } from "./control-context.js";

const descriptors = new Descriptors();
afterEach(() => descriptors.closeAll());

const ipipReceivers = [90, 91].map((fd) => ({
  ...{ fd, family: 4 as const, protocol: 4, local: ip("10.57.4.20") },
}));

const plansOf = (context: ReturnType<typeof controlContext>) =>
  workerPlans({
    ...{ ...context, workers: 2, busyPoll_us: 60, descriptors, ipipReceivers },
    keepalives: context.rows,
    events: new EventInbox(2, 2),
  });

describe("workerPlans", () => {
  it("gives each worker its own queue, sockets and eventfd, and IPIP input to the first alone", () => {
    const [first, second] = plansOf(controlContext());
    expect([first.worker, second.worker]).toEqual([0, 1]);
    expect(first.wakeFd).not.toBe(second.wakeFd);
    expect([first, second].map(({ vxlan }) => vxlan[0].device.fd)).toEqual([100, 200]);
    expect([first, second].map(({ vxlan }) => vxlan[0].sendSockets)).toEqual([[50, 51], [60]]);
    expect([first, second].map(({ vxlan }) => vxlan[0].receiveSocket)).toEqual([40, 41]);
    expect([first, second].map(({ vxlan }) => vxlan[0].groupSocket)).toEqual([45, -1]);
    expect([first, second].map(({ ipip }) => ipip[0].device.fd)).toEqual([101, 201]);
    expect([first, second].map(({ ipip }) => ipip[0].sendSockets)).toEqual([
      [70, 72, -1],
      [71, 73, -1],
    ]);
    expect([first, second].map((plan) => plan.ipipReceivers)).toEqual([ipipReceivers, []]);
  });

  it("tells of every tunnel what its config says", () => {
    const [{ vxlan, ipip }] = plansOf(controlContext());
    expect(vxlan).toHaveLength(1);
    expect(vxlan[0]).toMatchObject({
      ...{ index: 0, vni: 100, macHi: 0x200, macLo: 1, mtu_bytes: 1450, pathMtu_bytes: 1450 },
      ...{ learning: true, proxy: false, strictReserved: false, dropInnerVlan: false },
      ...{ allow: "known", udpSegment: true },
    });
    expect(ipip).toHaveLength(1);
    expect(ipip[0]).toMatchObject({
      ...{ index: 1, family: 4, local: ip("10.57.4.20"), remote: undefined, remoteRow: -1 },
      ...{ carries4: true, carries6: false, ttl: 64, tos: 0, pmtudisc: true, dev: "" },
      ...{ mtu_bytes: 1450, underlayMtu_bytes: 1500, allow: "known" },
    });
  });

  it("tells what each mode of IPIP carries, and in what", () => {
    const modes = ["ipip", "sit", "any", "ipip6", "ip6ip6"];
    const tunnels = modes.map((mode, i) => {
      const local = mode.endsWith("6") ? `fd00::${i}` : `10.57.4.2${i}`;
      return `  - { name: ipip${i}, type: ipip, mode: ${mode}, local: "${local}" }\n`;
    });
    const [{ ipip }] = plansOf(controlContext(`tunnels:\n${tunnels.join("")}`));
    const told = ipip.map(({ family, carries4, carries6 }) => [family, carries4, carries6]);
    expect(told).toEqual([
      [4, true, false],
      [4, false, true],
      [4, true, true],
      [6, true, false],
      [6, false, true],
    ]);
  });

  it("reads every switch of an IPIP tunnel", () => {
    const [{ ipip }] = plansOf(
      controlContext(`
tunnels:
  - { name: a, type: ipip, local: 10.57.4.20, dev: eth0, ttl: inherit, tos: inherit, pmtudisc: false }
  - { name: b, type: ipip, local: 10.57.4.21, ttl: 9, tos: 0x4b }
`),
    );
    expect(ipip[0]).toMatchObject({ dev: "eth0", ttl: 0, tos: -1, pmtudisc: false });
    expect(ipip[1]).toMatchObject({ dev: "", ttl: 9, tos: 0x48, pmtudisc: true });
  });

  it("takes the larger headers of IPv6 off the path's MTU, and reads every switch", () => {
    const context = controlContext(`
tunnels:
  - name: vxlan6
    type: vxlan
    vni: 6
    local: fd00::20
    learning: false
    proxy: true
    strict_reserved: true
    inner_vlan: drop
    allow: ["fd00::/8"]
`);
    const [{ vxlan }] = plansOf(context);
    expect(vxlan[0]).toMatchObject({
      ...{ pathMtu_bytes: 1430, learning: false, proxy: true, strictReserved: true },
      ...{ dropInnerVlan: true, allow: [{ masks: [0xff000000 | 0, 0, 0, 0] }] },
    });
  });

  it("names the outer destination of a point-to-point tunnel and its row", () => {
    const context = controlContext(`
tunnels: [{ name: ipip1, type: ipip, local: 10.57.4.20, remote: 10.57.4.30, ttl: 0 }]
`);
    const [{ ipip, remotes }] = plansOf(context);
    const { remote, remoteRow, ttl } = ipip[0];
    expect([remote?.w3, ttl]).toEqual([0x0a39041e, 0]);
    expect(RemoteTable.attach(remotes).get(remoteRow)?.address[3]).toBe(0x0a39041e);
  });

  it("can be cloned to another thread with its tables", () => {
    const [plan] = plansOf(controlContext());
    const clone = structuredClone(plan);
    expect(Fdb.attach(clone.vxlan[0].fdb).lookup(0x200, 0xb)).toBeGreaterThanOrEqual(0);
    expect(new RouteReader(clone.ipip[0].routes).lookup4(0xc0a80b01)).toBeGreaterThanOrEqual(0);
  });
});
