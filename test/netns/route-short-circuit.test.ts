// Route short circuit (`rsc`): the same frames through the kernel's vxlan device and through
// culvert in its place; what leaves must be the same.

import { expect, it } from "vitest";
import { createTwoHosts } from "../../src/testbed/two-hosts.js";
import { Capture, countersOf, eventOf, eventually, silenceIpv6, useBed } from "./support.js";

const bed = useBed(["tcpdump", "tshark"], (cleanup) => {
  const hosts = createTwoHosts(cleanup);
  for (const { host } of [hosts.left, hosts.right]) silenceIpv6(host);
  hosts.right.host.ip("addr", "add", "10.57.4.22/24", "dev", "eth0");
  return hosts;
});

const own = "02:00:00:00:00:01";
const router = "02:00:00:00:00:f0";
const next = "02:00:00:00:00:0e";
/** Behind the router: one that is a neighbour of the tunnel, one that is not. */
const known = "192.168.99.5";
const stranger = "192.168.99.6";

/** Destinations, inner MACs and inner TTL of the pings in a capture, without repetitions. */
function pingsIn(capture: Capture): string[] {
  const fields = ["ip.dst", "eth.src", "eth.dst", "ip.ttl"];
  const inner = (column: string) => column.split(",")[1];
  const rows = capture.rows("vxlan && icmp.type == 8", fields);
  const seen = rows.map(([to, from, mac, ttl]) =>
    [to, inner(from!), inner(mac!), inner(ttl!)].join(" "),
  );
  return [...new Set(seen)].sort();
}

/** Pings both addresses through the router over `vxlan100`. @returns what left */
async function pinged(): Promise<string[]> {
  const { left, right } = bed.hosts;
  const { host } = left;
  host.ip("addr", "add", "192.168.10.1/24", "dev", "vxlan100");
  host.ip("neigh", "replace", "192.168.10.254", "lladdr", router, "dev", "vxlan100");
  host.ip("route", "replace", "192.168.99.0/24", "via", "192.168.10.254", "dev", "vxlan100");
  const capture = await Capture.start(bed.cleanup, right.host, "eth0", "udp port 4789");
  try {
    return await eventually(async () => {
      for (const address of [known, stranger]) {
        await host.spawn(["ping", "-c", "1", "-W", "1", "-t", "33", address]).wait(10_000);
      }
      const pings = pingsIn(capture);
      expect(pings).toHaveLength(2);
      return pings;
    });
  } finally {
    await capture.stop();
  }
}

it("sends what the kernel's device sends", async () => {
  const { host } = bed.hosts.left;
  host.ip(
    ...["link", "add", "vxlan100", "address", own, "type", "vxlan", "id", "100", "rsc"],
    ...["local", "10.57.4.20", "dev", "eth0", "dstport", "4789", "nolearning"],
  );
  const entry = (mac: string, dst: string, ...flags: string[]) =>
    host.run("bridge", "fdb", "add", mac, "dev", "vxlan100", "dst", dst, "self", ...flags);
  entry(router, "10.57.4.21", "router");
  entry(next, "10.57.4.22");
  host.ip("link", "set", "vxlan100", "up");
  host.ip("neigh", "replace", known, "lladdr", next, "dev", "vxlan100", "nud", "permanent");
  const ofKernel = await pinged().finally(() => host.ip("link", "del", "vxlan100"));
  // MACs as the router would have made them, to the neighbour's VTEP; the TTL is not touched.
  expect(ofKernel).toEqual([
    `10.57.4.21,${stranger} ${own} ${router} 33`,
    `10.57.4.22,${known} ${router} ${next} 33`,
  ]);

  const daemon = await bed.start(
    host,
    `tunnels:
  - name: vxlan100
    type: vxlan
    vni: 100
    local: 10.57.4.20
    mac: "${own}"
    learning: false
    rsc: true
    fdb:
      - { mac: "${router}", dst: 10.57.4.21, router: true }
      - { mac: "${next}", dst: 10.57.4.22 }
    neighbors: [{ ip: ${known}, mac: "${next}" }]
`,
  );
  expect(await pinged()).toEqual(ofKernel);
  const report = await countersOf(daemon);
  expect(eventOf(report, "short-circuits")).toBeGreaterThan(0);
  expect(eventOf(report, "rsc-miss")).toBeGreaterThan(0);
});
