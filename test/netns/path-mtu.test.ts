// A path that carries less than the link: TCP from pod to pod goes on, because what does not fit is
// answered, or leaves in pieces. A route's own MTU stands in for what a router would have told.

import { describe, expect, it } from "vitest";
import { createTwoHosts, forgetPathMtus, type TwoHosts } from "../../src/testbed/two-hosts.js";
import { countersOf, eventOf, ipipConfig, useBed, vxlanConfig } from "./support.js";
import { expectReachable, expectTcp, pods } from "./traffic.js";

const bed = useBed(["iperf3"], (cleanup) => createTwoHosts(cleanup));
const UNDERLAY = "10.57.4.0/24";
const PATH_MTU_BYTES = 1400;

/** Runs `during` while both hosts' way to each other carries PATH_MTU_BYTES. */
async function withSmallerPath(hosts: TwoHosts, during: () => Promise<void>): Promise<void> {
  const hostsOnPath = [hosts.left.host, hosts.right.host];
  const routes = hostsOnPath.map((host) => host.ip("route", "show", UNDERLAY).trim().split(/\s+/));
  try {
    for (const [i, host] of hostsOnPath.entries()) {
      host.ip("route", "change", ...routes[i]!, "mtu", String(PATH_MTU_BYTES));
    }
    await during();
  } finally {
    for (const [i, host] of hostsOnPath.entries()) host.ip("route", "change", ...routes[i]!);
    forgetPathMtus(hosts);
  }
}

describe.each([
  ["VXLAN", vxlanConfig],
  ["IPIP", ipipConfig],
])("%s behind a path MTU below that of the link", (_, configOf) => {
  it("carries TCP both ways, and tells the sender what fits", async () => {
    const hosts = bed.hosts;
    const daemons = await bed.pair(hosts, (side, peer) => configOf(side, peer));
    await expectReachable(hosts.left.pod, hosts.right.podIp);
    await withSmallerPath(hosts, () => expectTcp(pods(hosts)));
    // One is enough: what its sender learns goes into the MSS that it tells the other.
    const told = daemons.map(async (daemon) => eventOf(await countersOf(daemon), "icmp-errors"));
    expect(Math.max(...(await Promise.all(told)))).toBeGreaterThan(0);
  });
});
