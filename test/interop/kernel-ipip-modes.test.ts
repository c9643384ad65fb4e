// The other modes against the kernel's devices in the guest: IPv6 in IPv4 (sit), IPv4 in IPv6 and
// IPv6 in IPv6 (ip6tnl), and both in one tunnel (mode any). Ping, TCP and UDP both ways, what is
// longer than the tunnel takes, and the outer header as tshark reads it.

import { beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { ping } from "../../src/testbed/ping.js";
import { Capture, eventually } from "../netns/support.js";
import { tcpFromGuest, tcpToGuest, udpEchoes } from "./guest/transfers.js";
import { useGuest } from "./guest/use-guest.js";
import { dropsOf } from "./support.js";

const bed = useGuest({
  ipv6: true,
  needs: {
    commands: [
      ["tcpdump", "--version"],
      ["tshark", "--version"],
    ],
  },
});

/** Underlay addresses of culvert's host and of the guest, by family. */
const underlay = {
  4: { left: "10.57.4.20", right: "10.57.4.21" },
  6: { left: "fd57::20", right: "fd57::21" },
} as const;
/** Overlay addresses of both ends, by family. */
const overlay = {
  4: { left: "192.168.10.1", right: "192.168.11.10" },
  6: { left: "fd99:10::1", right: "fd99:11::10" },
} as const;
const hostBits = { 4: 32, 6: 128 } as const;

type Family = 4 | 6;

interface Mode {
  mode: "ipip" | "sit" | "ipip6" | "ip6ip6" | "any";
  outer: Family;
  inner: readonly Family[];
  /** How the guest makes its device; `encaplimit none`: no destination options header. */
  device: string;
}

const modes: Mode[] = [
  { mode: "sit", outer: 4, inner: [6], device: "sit mode ip6ip" },
  { mode: "ipip6", outer: 6, inner: [4], device: "ip6tnl mode ipip6 encaplimit none" },
  { mode: "ip6ip6", outer: 6, inner: [6], device: "ip6tnl mode ip6ip6 encaplimit none" },
  { mode: "any", outer: 4, inner: [4, 6], device: "sit mode any" },
  { mode: "any", outer: 6, inner: [4, 6], device: "ip6tnl mode any encaplimit none" },
];
/** `remote: any` has the next hop of its routes; with a remote the routes have none. */
const kinds = ["any", "remote"] as const;

const transfer_bytes = 2_000_000;
const headerBytes = { 4: 20, 6: 40 } as const;

beforeAll(async () => {
  if (bed.unmet !== undefined) return;
  const { left } = bed.hosts;
  // The kernel refuses an IPv6 next hop over the tunnel's device, `onlink` or not, which another
  // route than the default one has on another device (ip6_route_check_nh_onlink): a prefix of the
  // underlay with the peer in it must not be there.
  left.host.ip("addr", "add", `${underlay[6].left}/128`, "dev", "eth0", "nodad");
  left.host.ip("-6", "route", "add", "default", "dev", "eth0");
  await bed.guest.shell(`ip addr add ${underlay[6].right}/64 dev eth0 nodad`);
});

/** Both ends; returns culvert. */
async function join({ mode, outer, inner, device }: Mode, kind: (typeof kinds)[number]) {
  const { left, right } = underlay[outer];
  const addresses = inner.map((family) => `ip addr add ${cidr(family, "right")} dev peer1`);
  const routes = inner.map((family) => `ip route add ${cidr(family, "left")} dev peer1`);
  const [type, ...words] = device.split(" ");
  const ends = `local ${right} remote ${left}`;
  await bed.guest.shell(`ip link add peer1 type ${type} ${ends} ${words.join(" ")}
ip link set peer1 up
${[...addresses, ...routes].join("\n")}`);
  const via = kind === "any" ? `, via: "${right}"` : "";
  const list = (items: readonly string[]): string => items.join(", ");
  return bed.start(`tunnels:
  - name: ipip0
    type: ipip
    mode: ${mode}
    local: "${left}"
    remote: ${kind === "any" ? "any" : `"${right}"`}
    addresses: [${list(inner.map((family) => `"${cidr(family, "left")}"`))}]
    routes: [${list(inner.map((family) => `{ to: "${cidr(family, "right")}"${via} }`))}]
`);
}

const cidr = (family: Family, side: "left" | "right"): string =>
  `${overlay[family][side]}/${hostBits[family]}`;

async function expectPings(from: Namespace, family: Family): Promise<void> {
  const to = overlay[family].right;
  await eventually(async () => expect((await ping({ from, to, count: 1 })).received).toBe(1));
  for (const size_bytes of [56, 1400, 4000]) {
    expect((await ping({ from, to, count: 3, size_bytes })).received).toBe(3);
    const words = `ping -n -c 3 -i 0.2 -W 2 -s ${size_bytes} ${overlay[family].left}`;
    expect(await bed.guest.shell(words)).toContain(" 3 received");
  }
}

async function expectTransfers(host: Namespace, family: Family): Promise<void> {
  const { left, right } = overlay[family];
  for (const transfer of [
    await tcpToGuest(bed.guest, host, right, transfer_bytes),
    await tcpFromGuest(bed.guest, host, left, transfer_bytes),
  ]) {
    expect(transfer.received).toBe(transfer.sent);
  }
  const sizes_bytes = [1, 1400, 4000];
  const { echoed, damaged } = await udpEchoes(bed.guest, host, right, sizes_bytes);
  expect({ echoed, damaged }).toEqual({ echoed: sizes_bytes, damaged: [] });
}

/** The host's own router solicitations and multicast reports aside. */
const ingressDrops = (daemon: Daemon) => dropsOf(daemon, ["ingress"]);

describe.each(modes)("mode $mode over IPv$outer", (mode) => {
  const { outer, inner } = mode;

  it.each(kinds)("carries ping, TCP and UDP both ways, remote: %s", async (kind) => {
    const { host } = bed.hosts.left;
    const daemon = await join(mode, kind);
    for (const family of inner) {
      await expectPings(host, family);
      await expectTransfers(host, family);
    }
    expect(await ingressDrops(daemon)).toEqual({});
  });

  it("has the kernel's MTU, and tells who sends more", async () => {
    const { host } = bed.hosts.left;
    await join(mode, "remote");
    const mtu = 1500 - headerBytes[outer];
    const [link] = JSON.parse(host.ip("-j", "link", "show", "ipip0")) as [{ mtu: number }];
    const [peer] = JSON.parse(await bed.guest.shell("ip -j link show peer1")) as (typeof link)[];
    expect({ ours: link.mtu, kernel: peer!.mtu }).toEqual({ ours: mtu, kernel: mtu });
    for (const family of inner) {
      const to = overlay[family].right;
      const payload = (bytes: number): string => String(bytes - headerBytes[family] - 8);
      const words = ["ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s"];
      const fits = await host.spawn([...words, payload(mtu), to]).wait(10_000);
      expect(fits.stdout).toContain("1 received");
      const more = await host.spawn([...words, payload(mtu + 1), to]).wait(10_000);
      expect(more.stdout + more.stderr).toMatch(new RegExp(`mtu(=| = |: )${mtu}`));
    }
  });

  it("sends the protocol number and addresses that the kernel sends", async () => {
    const { host } = bed.hosts.left;
    await join(mode, "any");
    const field = outer === 4 ? "ip.proto" : "ipv6.nxt";
    const [source, target] = outer === 4 ? ["ip.src", "ip.dst"] : ["ipv6.src", "ipv6.dst"];
    for (const family of inner) {
      const protocol = family === 4 ? "4" : "41";
      const filter = outer === 4 ? `ip proto ${protocol}` : `ip6 proto ${protocol}`;
      const capture = await Capture.start(bed.cleanup, host, "eth0", filter);
      await expectPings(host, family);
      const echoes = family === 4 ? "icmp" : "icmpv6.type == 128 or icmpv6.type == 129";
      await eventually(() => {
        const rows = capture.rows(echoes, [field, source!, target!]);
        const outers = new Set(rows.map((row) => row.map((text) => text.split(",")[0]).join(" ")));
        const { left, right } = underlay[outer];
        expect([...outers].sort()).toEqual([
          `${protocol} ${left} ${right}`,
          `${protocol} ${right} ${left}`,
        ]);
      });
      await capture.stop();
    }
  });
});

describe("a device that adds a destination options header", () => {
  it("is understood: the kernel's encapsulation limit [RFC 2473 § 4.1.1] is its default", async () => {
    const daemon = await join(
      { mode: "ip6ip6", outer: 6, inner: [6], device: "ip6tnl mode ip6ip6" },
      "remote",
    );
    await expectPings(bed.hosts.left.host, 6);
    expect(await ingressDrops(daemon)).toEqual({});
  });
});
