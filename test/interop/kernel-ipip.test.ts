// culvert against the kernel's own ipip device. Where the machine's kernel has none, Debian's cloud
// kernel boots in a small emulated guest that takes the place of the right host (guest/); culvert
// is on the left host, a pod behind it.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { culvertIpipConfig } from "../../src/testbed/culvert-tunnel.js";
import { Daemon } from "../../src/testbed/daemon.js";
import { describeError } from "../../src/testbed/error.js";
import { ping, pingUntilAnswered } from "../../src/testbed/ping.js";
import { createTwoHosts, type OffloadMode, type TwoHosts } from "../../src/testbed/two-hosts.js";
import { buildGuest, type GuestFiles, unmetGuestNeeds } from "./guest/build-guest.js";
import { Guest } from "./guest/guest.js";
import {
  type Digest,
  dropsOf,
  fixtureResult,
  startFixture,
  unmetNeeds,
  waitForOutput,
} from "./support.js";

const transfer_bytes = 10_000_000;
const transferTimeout_ms = 40_000;

function prepare(): { files?: GuestFiles; unmet?: string } {
  const unmet = unmetNeeds({}) ?? unmetGuestNeeds();
  if (unmet !== undefined) return { unmet };
  try {
    return { files: buildGuest() };
  } catch (error) {
    return { unmet: `the guest cannot be built here: ${describeError(error)}` };
  }
}

let prepared: ReturnType<typeof prepare> | undefined;

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
    prepared ??= prepare();
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
    const receiver = guest.shell("nc -l -p 5301 < /dev/null | sha256sum", transferTimeout_ms);
    // The guest's listener cannot say when it is there: ask its kernel.
    const listening = "while ! netstat -ltn | grep -q ':5301 '; do sleep 0.1; done";
    await guest.shell(`${listening}; echo listening`);
    const to = [right.podIp, "5301", String(transfer_bytes)];
    const sender = startFixture(left.pod, "tcp-transfer.py", "send", ...to);
    const sent = await fixtureResult<Digest>(sender, transferTimeout_ms);
    expect((await receiver).split(" ")[0]).toBe(sent.sha256);
    expect(await ingressDrops()).toEqual({});
  });

  it("carries a TCP transfer from the kernel unchanged", async () => {
    const { left } = hosts;
    const receiver = startFixture(left.pod, "tcp-transfer.py", "receive", left.podIp, "5301");
    await waitForOutput(receiver, "ready");
    const script = `head -c ${transfer_bytes} /dev/urandom > /tmp/data; sha256sum < /tmp/data
nc ${left.podIp} 5301 < /tmp/data; rm /tmp/data`;
    const [sha256] = (await guest.shell(script, transferTimeout_ms)).split(" ");
    const received = await fixtureResult<Digest>(receiver, transferTimeout_ms);
    expect(received).toEqual({ bytes: transfer_bytes, sha256 });
    expect(await ingressDrops()).toEqual({});
  });
});
