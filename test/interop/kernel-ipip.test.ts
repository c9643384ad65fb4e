// culvert against the kernel's own ipip device. Where the machine's kernel has none, Debian's cloud
// kernel boots in a small emulated guest that takes the place of the right host (guest/); culvert
// is on the left host, a pod behind it.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { culvertIpipConfig } from "../../src/testbed/culvert-tunnel.js";
import { Daemon } from "../../src/testbed/daemon.js";
import { ping, pingUntilAnswered } from "../../src/testbed/ping.js";
import { createTwoHosts, type OffloadMode, type TwoHosts } from "../../src/testbed/two-hosts.js";
import { Guest } from "./guest/guest.js";
import { tcpFromGuest, tcpToGuest, udpEchoes } from "./guest/transfers.js";
import { prepareGuest } from "./guest/use-guest.js";
import { dropsOf } from "./support.js";

let prepared: ReturnType<typeof prepareGuest> | undefined;

/** The kernel's ipip device in the guest, with the address of the right pod. */
const tunnelScript = ({ left, right }: TwoHosts): string => `
ip tunnel add ipip1 mode ipip local ${right.underlayIp} remote ${left.underlayIp} ttl 64
ip link set ipip1 up
ip addr add ${right.podIp}/32 dev ipip1
ip route add ${left.podNetwork} dev ipip1
ip tunnel show ipip1`;

const variants: [OffloadMode, string, string][] = [
  ["default", "all", ""],
  // GRO of the underlay device hands merged packets to the raw socket (net/ipv4/af_inet.c,
  // ipip_gro_receive).
  ["nic", "all", ""],
  ["nic", "no tso", "offloads: { tso: false }\n"],
];

describe.each(variants)("kernel ipip, %s offloads, culvert with %s", (offloads, _, settings) => {
  const cleanup = new Cleanup();
  let hosts: TwoHosts;
  let guest: Guest;
  let daemon: Daemon;

  beforeAll(async () => {
    prepared = prepareGuest();
    const { files } = prepared;
    if (files === undefined) return;
    try {
      hosts = createTwoHosts(cleanup, { offloads });
      const { left, right } = hosts;
      guest = await Guest.boot(files, right, left.host);
      expect(await guest.shell(tunnelScript(hosts))).toContain(`remote ${left.underlayIp}`);
      const config = settings + culvertIpipConfig(left, right);
      daemon = await Daemon.start({ namespace: left.host, cleanup, config });
      await pingUntilAnswered(left.pod, right.podIp);
    } catch (error) {
      cleanup.run();
      throw error;
    }
  });
  beforeEach((context) => {
    if (prepared?.unmet !== undefined) context.skip(prepared.unmet);
  });
  afterAll(() => cleanup.run());

  /**
   * Ingress alone: the host's own IPv6 multicast over the device is no IPv4 and counts as a drop of
   * egress.
   */
  const ingressDrops = () => dropsOf(daemon, ["ingress"]);

  it.each([56, 1400, 4000])("answers pings of %i bytes both ways", async (size_bytes) => {
    const { left, right } = hosts;
    expect(await pingUntilAnswered(left.pod, right.podIp)).toBe(true);
    const there = await ping({ from: left.pod, to: right.podIp, count: 5, size_bytes });
    expect(there.received).toBe(5);
    const back = await guest.shell(`ping -c 3 -w 5 -s ${size_bytes} ${left.podIp}`);
    expect(back).toContain(" 3 received");
    expect(await ingressDrops()).toEqual({});
  });

  it("carries a TCP transfer to the kernel unchanged", async () => {
    const { left, right } = hosts;
    const { sent, received } = await tcpToGuest(guest, left.pod, right.podIp);
    expect(received).toBe(sent);
    expect(await ingressDrops()).toEqual({});
  });

  it("carries a TCP transfer from the kernel unchanged", async () => {
    const { left } = hosts;
    const { sent, received } = await tcpFromGuest(guest, left.pod, left.podIp);
    expect(received).toBe(sent);
    expect(await ingressDrops()).toEqual({});
  });

  it("carries datagrams to the kernel and its echoes back", async () => {
    const { left, right } = hosts;
    const sizes_bytes = [1, 1400, 1452, 1453, 4000];
    const { echoed, damaged } = await udpEchoes(guest, left.pod, right.podIp, sizes_bytes);
    expect({ echoed, damaged }).toEqual({ echoed: sizes_bytes, damaged: [] });
    expect(await ingressDrops()).toEqual({});
  });
});
