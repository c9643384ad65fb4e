// culvert against a VXLAN peer that is nothing but a UDP socket and scapy: ARP and ICMP echo
// through the tunnel.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { Daemon } from "../../src/testbed/daemon.js";
import { ping } from "../../src/testbed/ping.js";
import type { Child } from "../../src/testbed/process.js";
import { createTwoHosts, type TwoHosts } from "../../src/testbed/two-hosts.js";
import { dropsOf, settled, startFixture, unmetNeeds, waitForOutput } from "./support.js";

const unmet = unmetNeeds({ modules: ["scapy"] });
const peerIp = "192.168.10.9";
const peerMac = "02:5c:00:00:00:09";

describe("a VXLAN peer made by scapy", () => {
  const cleanup = new Cleanup();
  let hosts: TwoHosts;
  let daemon: Daemon;
  let peer: Child;

  beforeAll(async () => {
    if (unmet !== undefined) return;
    try {
      hosts = createTwoHosts(cleanup);
      const { left, right } = hosts;
      const config = `tunnels:
  - name: vxlan100
    type: vxlan
    vni: 100
    local: ${left.underlayIp}
    addresses: [${left.overlayIp}/24]
    remotes: [${right.underlayIp}]
`;
      peer = startFixture(right.host, "vxlan-peer.py", right.underlayIp, "100", peerIp, peerMac);
      await waitForOutput(peer, "ready");
      daemon = await Daemon.start({ namespace: left.host, cleanup, config });
    } catch (error) {
      cleanup.run();
      throw error;
    }
  });
  beforeEach((context) => {
    if (unmet !== undefined) context.skip(unmet);
  });
  afterAll(() => cleanup.run());

  const answered = (): { kind: string; flags: number; from: string; port: number }[] =>
    peer.stdout
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line));

  it.each([0, 56, 1400])("answers pings of %i bytes", async (size_bytes) => {
    const burst = async (): Promise<number> =>
      (await ping({ from: hosts.left.host, to: peerIp, count: 5, size_bytes })).received;
    expect(await settled(burst, 5)).toBe(5);
    expect(await dropsOf(daemon)).toEqual({});
  });

  it("was asked by ARP first, then by echo requests, in headers as RFC 7348 has them", () => {
    const all = answered();
    expect(all[0]?.kind).toBe("arp");
    expect(all.filter(({ kind }) => kind === "echo").length).toBeGreaterThanOrEqual(15);
    for (const { flags, from, port } of all) {
      expect({ flags, from }).toEqual({ flags: 8, from: hosts.left.underlayIp });
      expect(port).toBeGreaterThanOrEqual(49152);
    }
  });

  it("is found in the FDB and in the host's neighbour table", async () => {
    const { stdout } = await daemon.culvert("fdb", "show", "dev", "vxlan100");
    expect(stdout).toMatch(new RegExp(`^${peerMac} .*dst ${hosts.right.underlayIp}`, "m"));
    expect(hosts.left.host.ip("neigh", "show", peerIp)).toContain(peerMac);
  });
});
