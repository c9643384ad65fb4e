// The outer header of culvert's IPIP against that of the kernel's ipip device: TTL, TOS and DF
// under the options that both have, the ECN bits on the way in [RFC 6040 § 4.1] and, from a
// "router" that marks outer packets, on the way out [§ 4.2].

import { describe, expect, it } from "vitest";
import type { Namespace } from "../../src/testbed/namespace.js";
import { runSync } from "../../src/testbed/process.js";
import { Capture, eventually, ipipConfig } from "../netns/support.js";
import { expectReachable } from "../netns/traffic.js";
import { useGuest } from "./guest/use-guest.js";
import { dropsOf } from "./support.js";

const bed = useGuest({
  needs: {
    commands: [
      ["tcpdump", "--version"],
      ["tshark", "--version"],
      ["nft", "--version"],
    ],
  },
});

const CE = 3;

/** The kernel's device with `words`, culvert with `lines`, and a first answer. */
async function join(words: string, lines: readonly string[]) {
  const { left, right } = bed.hosts;
  const ends = `local ${right.underlayIp} remote ${left.underlayIp}`;
  await bed.guest.shell(`ip tunnel add peer1 mode ipip ${ends} ${words}
ip link set peer1 up
ip addr add ${right.podIp}/32 dev peer1
ip route add ${left.podNetwork} dev peer1`);
  const daemon = await bed.start(ipipConfig(left, right, lines));
  await expectReachable(left.host, right.podIp);
  return daemon;
}

interface Header {
  ttl: number;
  tos: number;
  df: boolean;
}

interface Row {
  outer: Header;
  inner: Header;
}

const header = (ttl: string, tos: string, df: string): Header => ({
  ttl: Number(ttl),
  tos: Number(tos),
  df: df === "1" || df === "True",
});

/** Outer and inner header of the packets that match, as tshark reads them on the underlay. */
function headers(capture: Capture, filter: string): Row[] {
  const rows = capture.rows(filter, ["ip.ttl", "ip.dsfield", "ip.flags.df"]);
  return rows.map((row) => {
    const [ttl, tos, df] = row.map((field) => field.split(",")) as [string[], string[], string[]];
    return {
      outer: header(ttl[0]!, tos[0]!, df[0]!),
      inner: header(ttl[1]!, tos[1]!, df[1]!),
    };
  });
}

const pingWords = ({ ttl, tos, df }: Header): string =>
  `ping -n -c 1 -W 2 -t ${ttl} -Q ${tos} -M ${df ? "do" : "dont"}`;

/** One echo request with that inner header from each side. @returns what both put on the wire */
async function requestsOf(inner: Header): Promise<{ culvert: Header; kernel: Header }> {
  const { left, right } = bed.hosts;
  const capture = await Capture.start(bed.cleanup, left.host, "eth0", "ip proto 4");
  const words = [...pingWords(inner).split(" "), right.podIp];
  await left.host.spawn(words).wait(10_000);
  await bed.guest.shell(`${pingWords(inner)} ${left.overlayIp}`);
  const sentBy = (address: string): Row[] =>
    headers(capture, `icmp.type == 8 and ip.src == ${address}`);
  await eventually(() => {
    for (const side of [left, right]) expect(sentBy(side.underlayIp)).toHaveLength(1);
  });
  await capture.stop();
  const [culvert] = sentBy(left.underlayIp);
  const [kernel] = sentBy(right.underlayIp);
  for (const row of [culvert!, kernel!]) expect(row.inner).toEqual(inner);
  return { culvert: culvert!.outer, kernel: kernel!.outer };
}

const inners: Header[] = [
  { ttl: 33, tos: 0x28, df: true },
  { ttl: 34, tos: 0xb8, df: false },
];

describe("the outer header", () => {
  const options: [string, string[], (inner: Header) => Header][] = [
    ["ttl 17 tos 0x20", ["ttl: 17", "tos: 32"], () => ({ ttl: 17, tos: 0x20, df: true })],
    [
      "ttl inherit tos inherit",
      ["ttl: inherit", "tos: inherit"],
      ({ ttl, tos }) => ({ ttl, tos, df: true }),
    ],
    [
      "ttl inherit nopmtudisc",
      ["ttl: inherit", "pmtudisc: false"],
      ({ ttl, df }) => ({ ttl, tos: 0, df }),
    ],
  ];

  it.each(options)("has what the kernel's has with %s", async (words, lines, expected) => {
    await join(words, lines);
    for (const inner of inners) {
      const { culvert, kernel } = await requestsOf(inner);
      expect(kernel).toEqual(expected(inner));
      expect(culvert).toEqual(kernel);
    }
  });

  it("has the inner ECN bits, CE included where the kernel writes ECT(0)", async () => {
    await join("ttl 64", []);
    for (const ecn of [0, 1, 2, CE]) {
      const { culvert, kernel } = await requestsOf({ ttl: 64, tos: ecn, df: true });
      // RFC 6040 § 4.1 (normal mode) copies CE; INET_ECN_encapsulate in the kernel's
      // include/net/inet_ecn.h is RFC 3168's full functionality: ECT(0) for CE.
      expect(kernel.tos).toBe(ecn === CE ? 2 : ecn);
      expect(culvert.tos).toBe(ecn);
    }
  });
});

/** Lets the bridge between the two mark outer packets of `source` with CE, as a full router does. */
function markFrom(router: Namespace, source: string): void {
  const lines = [
    "flush ruleset",
    "add table bridge router",
    "add chain bridge router marks { type filter hook forward priority 0; }",
    `add rule bridge router marks ip saddr ${source} ip protocol 4 ip ecn set ce`,
  ];
  const nft = ["ip", "netns", "exec", router.name, "nft", "-f", "-"];
  runSync(nft, `${lines.join("\n")}\n`);
}

describe("congestion marked on the outer header", () => {
  it("by culvert's packets is told by the kernel to the inner ones, or drops them", async () => {
    const { left, right } = bed.hosts;
    await join("ttl 64", []);
    markFrom(right.host, left.underlayIp);
    try {
      const capture = await Capture.start(bed.cleanup, left.host, "eth0", "ip proto 4");
      // The kernel answers an echo request with the TOS that it came with.
      for (const ecn of [1, 2, 3]) {
        const words = [...pingWords({ ttl: 40 + ecn, tos: ecn, df: true }).split(" "), right.podIp];
        expect((await left.host.spawn(words).wait(10_000)).stdout).toContain("1 received");
      }
      const none = [...pingWords({ ttl: 40, tos: 0, df: true }).split(" "), right.podIp];
      expect((await left.host.spawn(none).wait(10_000)).stdout).toContain("0 received");
      await eventually(() => {
        const answers = headers(capture, "icmp.type == 0");
        expect(answers.map(({ inner }) => inner.tos)).toEqual([CE, CE, CE]);
      });
      const [link] = JSON.parse(await bed.guest.shell("ip -s -s -j link show peer1")) as [
        { stats64: { rx: { errors: number; frame_errors: number } } },
      ];
      expect(link.stats64.rx).toMatchObject({ errors: 1, frame_errors: 1 });
    } finally {
      right.host.run("nft", "flush", "ruleset");
    }
  });

  it("by the kernel's packets is told by culvert to the inner ones, or drops them", async () => {
    const { left, right } = bed.hosts;
    const daemon = await join("ttl 64", []);
    markFrom(right.host, right.underlayIp);
    try {
      const capture = await Capture.start(bed.cleanup, left.host, "ipip0", "icmp");
      const script = [1, 2, 3, 0].map(
        (ecn) =>
          `${pingWords({ ttl: 40 + ecn, tos: ecn, df: true })} ${left.overlayIp} > /dev/null`,
      );
      await bed.guest.shell(script.join("\n"));
      const filter = "icmp.type == 8";
      await eventually(() => {
        const rows = capture.rows(filter, ["ip.ttl", "ip.dsfield"]);
        expect(rows.map(([ttl, tos]) => [Number(ttl), Number(tos)])).toEqual([
          [41, CE],
          [42, CE],
          [43, CE],
        ]);
      });
      expect(await dropsOf(daemon, ["ingress"])).toEqual({ "ingress ecn": 1 });
    } finally {
      right.host.run("nft", "flush", "ruleset");
    }
  });
});
