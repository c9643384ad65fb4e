// Frames with a wrong inner checksum never reach the overlay, alone or between right ones, and are
// counted exactly. The frames are made by scapy, so that no code of ours decides what is right.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { type MadePacket, MadePackets, type TunnelType } from "./made-packets.js";
import { dropsOf, settled, unmetNeeds } from "./support.js";

const unmet = unmetNeeds({ modules: ["scapy"] });

const wrongCases: Record<TunnelType, [MadePacket["protocol"], MadePacket["damage"]][]> = {
  ipip: [
    ["udp", "transport"],
    ["tcp", "transport"],
    ["icmp", "transport"],
    ["udp", "header"],
    ["tcp", "header"],
  ],
  vxlan: [
    ["udp", "transport"],
    ["tcp", "transport"],
    ["icmp", "transport"],
    ["udp", "header"],
    ["tcp", "header"],
    ["udp6", "transport"],
    ["tcp6", "transport"],
    ["icmp6", "transport"],
  ],
};

const rightCases: Record<TunnelType, [MadePacket["protocol"], MadePacket["damage"]][]> = {
  ipip: [
    ["udp", "none"],
    ["tcp", "none"],
    ["icmp", "none"],
    ["udp", "zero"],
  ],
  vxlan: [
    ["udp", "none"],
    ["tcp", "none"],
    ["icmp", "none"],
    ["udp", "zero"],
    ["udp6", "none"],
    ["tcp6", "none"],
    ["icmp6", "none"],
    // Tunnels may leave it out over IPv6 too [RFC 6935]; the kernel's vxlan passes it on.
    ["udp6", "zero"],
  ],
};

describe.each(["vxlan", "ipip"] as const)("inner checksums through %s", (type) => {
  const cleanup = new Cleanup();
  let packets: MadePackets;
  let wrongSoFar = 0;

  beforeAll(async () => {
    if (unmet !== undefined) return;
    try {
      packets = await MadePackets.start(cleanup, type);
    } catch (error) {
      cleanup.run();
      throw error;
    }
  });
  beforeEach((context) => {
    if (unmet !== undefined) context.skip(unmet);
  });
  afterAll(() => cleanup.run());

  /**
   * Sends the bursts; expects the right ones out of the device once each, and the wrong ones
   * counted.
   */
  async function expectOnlyRight(bursts: MadePacket[][], right: MadePacket[]): Promise<void> {
    const sent = bursts.flat();
    wrongSoFar += sent.length - right.length;
    await packets.send(bursts);
    const marks = right.map(({ mark }) => mark).sort();
    const counted = wrongSoFar === 0 ? {} : { "ingress inner-checksum": wrongSoFar };
    expect(await settled(() => packets.arrivedOf(sent), marks)).toEqual(marks);
    const ingressDrops = () => dropsOf(packets.daemon, ["ingress"]);
    expect(await settled(ingressDrops, counted)).toEqual(counted);
    // The drops are final, so nothing wrong can come any more.
    expect(packets.arrivedOf(sent)).toEqual(marks);
  }

  it("passes what is right", async () => {
    const right = rightCases[type].map(([protocol, damage]) => packets.make(protocol, damage));
    await expectOnlyRight(
      right.map((packet) => [packet]),
      right,
    );
  });

  it("drops what is wrong", async () => {
    const wrong = wrongCases[type].map(([protocol, damage]) => packets.make(protocol, damage));
    await expectOnlyRight(
      wrong.map((packet) => [packet]),
      [],
    );
  });

  it.each(wrongCases[type])(
    "drops %s with wrong %s out of the middle of a burst",
    async (...wrong) => {
      const [protocol] = wrong;
      const burst = Array.from({ length: 24 }, (_, i) =>
        i % 5 === 2 ? packets.make(...wrong) : packets.make(protocol, "none"),
      );
      await expectOnlyRight(
        [burst],
        burst.filter(({ damage }) => damage === "none"),
      );
    },
  );

  it("drops a burst that is wrong from the first to the last", async () => {
    const burst = Array.from({ length: 24 }, () => packets.make("tcp", "transport"));
    await expectOnlyRight([burst], []);
  });
});
