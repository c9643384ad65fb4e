// IPIP in every mode where the underlay does as a plain NIC with interrupt moderation does: whole
// packets on the wire, merged on arrival by GRO. Ping, TCP and UDP both ways, reads merged whatever
// the families are; and the class of the outer header, which of the families one has in front of
// the packet and one beside it.

import { describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import { createTwoHosts, type HostSide, type TwoHosts } from "../../src/testbed/two-hosts.js";
import { Capture, countersOf, dropsOf, eventually, scapy, useBed } from "./support.js";
import { type Ends, expectPings, expectTcp, expectUdp } from "./traffic.js";

const MTU_BYTES = 1500;

type Family = 4 | 6;

interface Mode {
  mode: string;
  outer: Family;
  inner: readonly Family[];
}

const bed = useBed(["iperf3", "tcpdump", "tshark", "scapy"], (cleanup): TwoHosts => {
  const hosts = createTwoHosts(cleanup, { offloads: "nic" });
  for (const side of [hosts.left, hosts.right]) {
    // Not a prefix of the link: the kernel takes no next hop over the tunnel (onlink) that a route
    // over another device covers, the default route aside [ip6_route_check_nh_onlink].
    side.host.ip("addr", "add", `${underlayOf(side, 6)}/128`, "dev", "eth0", "nodad");
    side.host.ip("-6", "route", "add", "default", "dev", "eth0");
    // GRO waits up to half a millisecond for more.
    side.host.setCoalescing("eth0", 500_000);
  }
  return hosts;
});

const lastOf = ({ underlayIp }: HostSide): string => underlayIp.split(".")[3]!;
const underlayOf = (side: HostSide, family: Family): string =>
  family === 4 ? side.underlayIp : `fd57::${lastOf(side)}`;
const overlayOf = (side: HostSide, family: Family): string =>
  family === 4 ? `10.99.0.${lastOf(side)}` : `fd99::${lastOf(side)}`;

function tunnelConfig(side: HostSide, peer: HostSide, { mode, outer, inner }: Mode): string {
  const host = (of: HostSide, family: Family) =>
    `"${overlayOf(of, family)}/${family === 4 ? 32 : 128}"`;
  const via = `via: "${underlayOf(peer, outer)}"`;
  return `tunnels:
  - name: tunnel0
    type: ipip
    mode: ${mode}
    local: "${underlayOf(side, outer)}"
    addresses: [${inner.map((family) => host(side, family)).join(", ")}]
    routes: [${inner.map((family) => `{ to: ${host(peer, family)}, ${via} }`).join(", ")}]
`;
}

/** What tshark calls an outer packet of these families. */
const TUNNELLED = {
  4: { 4: "ip.proto == 4", 6: "ip.proto == 41" },
  6: { 4: "ipv6.nxt == 4", 6: "ipv6.nxt == 41" },
} as const;
/** Everything that a tunnel sends, and everything that should have gone into one. */
const WIRE =
  "ip proto 4 or ip proto 41 or ip6 proto 4 or ip6 proto 41 or tcp or udp or icmp or " +
  "(icmp6 and ip6[40] >= 128 and ip6[40] <= 129)";

const ingressDrops = async (daemon: Daemon): Promise<string[]> => {
  const names = Object.keys(dropsOf(await countersOf(daemon)));
  return names.filter((name) => name.startsWith("ingress") && name !== "ingress device-busy");
};

/** Mean size of what a daemon received: beyond the MTU where reads were merged. */
async function meanReceived_bytes(daemon: Daemon): Promise<number> {
  const { ingress } = (await countersOf(daemon)).tunnels[0]!;
  return ingress.bytes / ingress.packets;
}

describe("merged on arrival", () => {
  it.each<[string, Mode]>([
    ["IPv4 in IPv4", { mode: "ipip", outer: 4, inner: [4] }],
    ["IPv6 in IPv4", { mode: "sit", outer: 4, inner: [6] }],
    ["IPv4 in IPv6", { mode: "ipip6", outer: 6, inner: [4] }],
    ["IPv6 in IPv6", { mode: "ip6ip6", outer: 6, inner: [6] }],
    ["both in IPv4", { mode: "any", outer: 4, inner: [4, 6] }],
    ["both in IPv6", { mode: "any", outer: 6, inner: [4, 6] }],
  ])("%s: ping, TCP and UDP pass both ways, in outer packets of that kind", async (_, mode) => {
    const { left, right } = bed.hosts;
    const daemons = await bed.pair(bed.hosts, (side, peer) => tunnelConfig(side, peer, mode));
    for (const inner of mode.inner) {
      const ends: Ends = {
        ...{ from: left.host, address: overlayOf(right, inner) },
        ...{ to: right.host, back: overlayOf(left, inner) },
      };
      await expectPings(ends);
      const capture = await Capture.start(bed.cleanup, right.host, "eth0", WIRE, 10_000);
      await expectPings(ends, 4000);
      await expectUdp(ends);
      await expectTcp(ends);
      await capture.stop();
      const kind = TUNNELLED[mode.outer][inner];
      expect(capture.rows(`not (${kind})`, ["frame.protocols"])).toEqual([]);
      for (const what of ["tcp", "udp"]) {
        const rows = capture.rows(`${kind} and ${what}`, ["frame.number"]);
        expect(rows.length, what).toBeGreaterThan(100);
      }
    }
    for (const daemon of daemons) {
      expect(await ingressDrops(daemon)).toEqual([]);
      expect(await meanReceived_bytes(daemon)).toBeGreaterThan(MTU_BYTES);
    }
  });
});

describe("the class of the outer header", () => {
  it.each([4, 6] as const)(
    "over IPv%i: CE goes in, and drops what cannot carry it",
    async (outer) => {
      const { left, right } = bed.hosts;
      const mode: Mode = { mode: "any", outer, inner: [4, 6] };
      const daemon = await bed.start(right.host, tunnelConfig(right, left, mode));
      const capture = await Capture.start(bed.cleanup, right.host, "tunnel0", "udp port 7777");
      const ends = `src="${underlayOf(left, outer)}", dst="${underlayOf(right, outer)}"`;
      const marked = outer === 4 ? `IP(${ends}, tos=3)` : `IPv6(${ends}, tc=3)`;
      const inner = (family: Family, ecn: number): string => {
        const pair = `src="${overlayOf(left, family)}", dst="${overlayOf(right, family)}"`;
        const header = family === 4 ? `IP(${pair}, tos=${ecn})` : `IPv6(${pair}, tc=${ecn})`;
        return `send(${marked}/${header}/UDP(sport=7777, dport=7777))`;
      };
      scapy(left.host, [inner(4, 2), inner(6, 2), inner(4, 0), inner(6, 0)]);
      await eventually(async () =>
        expect(dropsOf(await countersOf(daemon))).toMatchObject({ "ingress ecn": 2 }),
      );
      await eventually(() => {
        const rows = capture.rows("udp", ["ip.dsfield.ecn", "ipv6.tclass.ecn"]);
        const marks = rows.map((row) => row.map((text) => (text === "" ? "" : Number(text))));
        expect(marks).toEqual([
          [3, ""],
          ["", 3],
        ]);
      });
      await capture.stop();
    },
  );
});
