// Extensions of the VXLAN header against the kernel's vxlan device: policy groups both ways and as
// tshark reads them, remote checksum offload of whatever the kernel sends.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import { ping, pingUntilAnswered } from "../../src/testbed/ping.js";
import type { OffloadMode, TwoHosts } from "../../src/testbed/two-hosts.js";
import { Capture, eventually } from "../netns/support.js";
import {
  addKernelVxlan,
  createDualStackHosts,
  right6,
  startCulvertVxlan,
} from "./kernel-vxlan-peer.js";
import { dropsOf, transferDatagrams, transferTcp, unmetNeeds } from "./support.js";

const unmet = unmetNeeds({
  commands: [
    ["nft", "--version"],
    ["tcpdump", "--version"],
    ["tshark", "--version"],
  ],
});

interface Scenario {
  hosts: TwoHosts;
  daemon: Daemon;
}

interface ScenarioOptions {
  offloads?: OffloadMode;
  kernel: readonly string[];
  culvert: readonly string[];
}

/** Registers set-up and tear-down of a kernel device on the right and culvert on the left. */
function scenario({ offloads = "default", kernel, culvert }: ScenarioOptions): () => Scenario {
  const cleanup = new Cleanup();
  let current: Scenario | undefined;
  beforeAll(async () => {
    if (unmet !== undefined) return;
    try {
      const hosts = createDualStackHosts(cleanup, offloads);
      addKernelVxlan(hosts, 4, kernel);
      const daemon = await startCulvertVxlan(hosts, cleanup, 4, "", culvert);
      current = { hosts, daemon };
    } catch (error) {
      cleanup.run();
      throw error;
    }
  });
  beforeEach((context) => {
    if (unmet !== undefined) context.skip(unmet);
  });
  afterAll(() => cleanup.run());
  return () => current!;
}

describe("policy groups (gbp)", () => {
  const ourGroup = 0x77;
  const theirGroup = 0x1234;
  const current = scenario({
    kernel: ["gbp"],
    // Group 0: ARP of the kernel, which nftables gives no mark here.
    culvert: [`gbp: { id: ${ourGroup}, allow: [0, ${theirGroup}] }`, "strict_reserved: true"],
  });

  /** The kernel takes the group from the skb's mark, and sets the mark to the group. */
  function markForwarded({ hosts }: Scenario, group: number): void {
    const { host } = hosts.right;
    const rules = [
      "table inet groups",
      "delete table inet groups",
      "table inet groups {",
      "  chain forward { type filter hook forward priority 0;",
      `    iifname vxlan100 meta mark ${ourGroup} counter`,
      `    oifname vxlan100 meta mark set ${group}`,
      "  }",
      // What the host itself sends: MLD reports carry whatever mark they happen to have.
      "  chain output { type route hook output priority 0; oifname vxlan100 meta mark set 0; }",
      "}",
    ];
    host.run("sh", "-c", `printf '%s\\n' "$0" | nft -f -`, rules.join("\n"));
  }

  it("pass both ways, as tshark and the kernel's marks show them", async () => {
    const { hosts, daemon } = current();
    markForwarded(current(), theirGroup);
    const before = await dropsOf(daemon);
    const cleanup = new Cleanup();
    const capture = await Capture.start(cleanup, hosts.right.host, "eth0", "udp port 4789");
    expect(await pingUntilAnswered(hosts.left.pod, hosts.right.podIp)).toBe(true);
    const groups = await eventually(() => {
      const rows = capture.rows("icmp && vxlan", ["ip.src", "vxlan.flag_g", "vxlan.gbp"]);
      expect(rows.length).toBeGreaterThan(1);
      // Outer and inner source stand in one column.
      return new Set(rows.map(([from, ...rest]) => [from!.split(",")[0], ...rest].join(" ")));
    });
    await capture.stop();
    cleanup.run();
    const { left, right } = hosts;
    const flag = [...groups][0]!.split(" ")[1]!;
    expect(groups).toEqual(
      new Set([
        `${left.underlayIp} ${flag} ${ourGroup}`,
        `${right.underlayIp} ${flag} ${theirGroup}`,
      ]),
    );
    expect(["1", "True"]).toContain(flag);
    const marked = right.host.run("nft", "list", "table", "inet", "groups");
    expect(Number(/counter packets (\d+)/.exec(marked)?.[1])).toBeGreaterThan(0);
    expect(await dropsOf(daemon)).toEqual(before);
  });

  it("that are not allowed do not enter", async () => {
    const { hosts, daemon } = current();
    markForwarded(current(), 5);
    const { received } = await ping({ from: hosts.left.pod, to: hosts.right.podIp, count: 3 });
    expect(received).toBe(0);
    const drops = await dropsOf(daemon);
    expect(Object.keys(drops)).toEqual(["ingress gbp-denied"]);
    markForwarded(current(), theirGroup);
    expect(await pingUntilAnswered(hosts.left.pod, hosts.right.podIp)).toBe(true);
    expect(await dropsOf(daemon)).toEqual(drops);
  });
});

describe.each(["default", "nic", "off"] as const)(
  "checksums that the kernel leaves to us (remcsumtx), %s offloads",
  (offloads) => {
    const current = scenario({
      ...{ offloads, kernel: ["remcsumtx", "remcsumrx"] },
      culvert: ["remcsum_rx: true", "remcsum_tx: true", "strict_reserved: true"],
    });

    it("are asked for on the wire", async () => {
      const { hosts } = current();
      const cleanup = new Cleanup();
      const capture = await Capture.start(cleanup, hosts.right.host, "eth0", "udp port 4789");
      await transferTcp(
        { from: hosts.right.pod, to: hosts.left.pod, address: hosts.left.podIp },
        9000,
      );
      const toLeft = `ip.dst == ${hosts.left.underlayIp} && vxlan`;
      await eventually(() => {
        const rows = capture.rows(toLeft, ["vxlan.flags", "vxlan.reserved8"]);
        const asked = rows.filter(([flags]) => (Number(flags) & 0x20) !== 0);
        // The inner TCP header begins behind Ethernet and IPv4: 34 bytes, halved.
        expect(new Set(asked.map(([, last]) => Number(last)))).toEqual(new Set([17]));
      });
      await capture.stop();
      cleanup.run();
    });

    const paths = ({ left, right }: TwoHosts) => ({
      "kernel to culvert": { from: right.pod, to: left.pod, address: left.podIp },
      "culvert to kernel": { from: left.pod, to: right.pod, address: right.podIp },
      "culvert to kernel, IPv6": { from: left.pod, to: right.pod, address: right6.podIp },
    });

    it.each(["kernel to culvert", "culvert to kernel", "culvert to kernel, IPv6"] as const)(
      "are finished: TCP and datagrams arrive as they were sent: %s",
      async (name) => {
        const { hosts, daemon } = current();
        await pingUntilAnswered(hosts.left.pod, hosts.right.podIp);
        const before = await dropsOf(daemon);
        const path = paths(hosts)[name];
        const { sent, received } = await transferTcp(path, 5_000_000);
        expect(received).toEqual(sent);
        for (const plan of [
          { size_bytes: 1000, batch: 40, count: 1000 },
          { size_bytes: 13, batch: 1, count: 200 },
        ]) {
          const result = await transferDatagrams(path, plan);
          expect(result.received).toEqual({ ...result.sent, wrongSize: 0, damaged: 0 });
        }
        expect(await dropsOf(daemon)).toEqual(before);
      },
    );
  },
);
