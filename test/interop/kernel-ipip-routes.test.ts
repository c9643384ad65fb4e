// culvert's one-to-many tunnel against the kernel's kinds of ipip device: one-to-many by its own
// routes (`via X dev DEV onlink`), and tunl0, which takes what no other device takes.

import { describe, expect, it } from "vitest";
import { ping } from "../../src/testbed/ping.js";
import { ipipConfig } from "../netns/support.js";
import { expectReachable } from "../netns/traffic.js";
import { tcpFromGuest, tcpToGuest, udpEchoes } from "./guest/transfers.js";
import { useGuest } from "./guest/use-guest.js";
import { dropsOf } from "./support.js";

const bed = useGuest();

/** Payloads: small, almost and just the MTU of 1480, more (inner fragments). */
const datagrams_bytes = [1, 100, 1400, 1452, 1453, 4000];

/** Ping, TCP and UDP both ways, pod to guest, and nothing dropped on the way in. */
async function expectAll(lines: readonly string[]): Promise<void> {
  const { left, right } = bed.hosts;
  const daemon = await bed.start(ipipConfig(left, right, lines));
  await expectReachable(left.pod, right.podIp);
  expect((await ping({ from: left.pod, to: right.podIp, count: 5 })).received).toBe(5);
  expect(await bed.guest.shell(`ping -c 3 -i 0.2 ${left.podIp}`)).toContain(" 3 received");
  for (const transfer of [
    await tcpToGuest(bed.guest, left.pod, right.podIp),
    await tcpFromGuest(bed.guest, left.pod, left.podIp),
  ]) {
    expect(transfer.received).toBe(transfer.sent);
  }
  expect(await udpEchoes(bed.guest, left.pod, right.podIp, datagrams_bytes)).toEqual({
    echoed: datagrams_bytes,
    damaged: [],
  });
  expect(await dropsOf(daemon, ["ingress"])).toEqual({});
}

const pointToPoint = (): string[] => {
  const { right } = bed.hosts;
  return [`remote: ${right.underlayIp}`, `routes: [{ to: ${right.podNetwork} }]`];
};

describe.each([
  ["remote: any", () => []],
  ["a remote", pointToPoint],
] as const)("culvert with %s", (_, lines) => {
  it("meets a one-to-many device", async () => {
    const { left, right } = bed.hosts;
    await bed.guest.shell(`ip tunnel add peer1 mode ipip local ${right.underlayIp} ttl 64
ip link set peer1 up
ip addr add ${right.podIp}/32 dev peer1
ip route add ${left.podNetwork} via ${left.underlayIp} dev peer1 onlink`);
    await expectAll(lines());
  });

  it("meets tunl0", async () => {
    const { left, right } = bed.hosts;
    await bed.guest.shell(`ip link set tunl0 up
ip addr add ${right.podIp}/32 dev tunl0
ip route add ${left.podNetwork} via ${left.underlayIp} dev tunl0 onlink`);
    try {
      await expectAll(lines());
    } finally {
      await bed.guest.shell("ip addr flush dev tunl0; ip link set tunl0 down");
    }
  });
});
