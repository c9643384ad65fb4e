// The hosts' netfilter rules hold with culvert's devices as with the kernel's: rules on inner
// packets before encapsulation (output, forward: oifname) and after decapsulation (input, forward:
// iifname), conntrack's connections both ways, and rules on the outer packets. The kernel judges
// all of it; what is shown here is that packets pass its hooks once, as inner and as outer ones.

import { afterEach, describe, expect, it } from "vitest";
import { culvertIpipConfig, culvertVxlanConfig } from "../../src/testbed/culvert-tunnel.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { ping } from "../../src/testbed/ping.js";
import { runSync } from "../../src/testbed/process.js";
import { bothWays } from "../../src/testbed/tunnel.js";
import { createTwoHosts, type HostSide, underlayDevice } from "../../src/testbed/two-hosts.js";
import { countersOf, devicePackets, eventually, silenceIpv6, useBed } from "../netns/support.js";
import { expectReachable } from "../netns/traffic.js";
import { python, transferTcp } from "./support.js";

const bed = useBed(["nft"], (cleanup) => {
  const hosts = createTwoHosts(cleanup);
  for (const { host } of [hosts.left, hosts.right]) silenceIpv6(host);
  return hosts;
});

const pings = 5;
const transfer_bytes = 2_000_000;
const table = "inet rules_of_test";

interface Kind {
  device: string;
  config: typeof culvertIpipConfig;
  /** What matches its outer packets, in the words of nft(8). */
  outer: string;
}

const kinds: [string, Kind][] = [
  ["ipip", { device: "ipip0", config: culvertIpipConfig, outer: "ip protocol 4" }],
  ["vxlan", { device: "vxlan100", config: culvertVxlanConfig, outer: "udp dport 4789" }],
];

type Hook = "input" | "output" | "forward";

/** Gives a namespace one chain at `hook` with these rules; an earlier one goes. */
function setRules(namespace: Namespace, hook: Hook, rules: readonly string[]): void {
  dropRules(namespace);
  const lines = [
    `add table ${table}`,
    `add chain ${table} judge { type filter hook ${hook} priority 0; policy accept; }`,
    ...rules.map((rule) => `add rule ${table} judge ${rule}`),
  ];
  runSync(["ip", "netns", "exec", namespace.name, "nft", "-f", "-"], `${lines.join("\n")}\n`);
}

function dropRules(namespace: Namespace): void {
  namespace.run("nft", `add table ${table}; delete table ${table}`);
}

interface ListedRule {
  rule?: { expr: { counter?: { packets: number } }[] };
}

/** What the counters of a namespace's rules show, in their order. */
function counted(namespace: Namespace): number[] {
  const listed = namespace.run("nft", "-j", "list", "table", ...table.split(" "));
  const { nftables } = JSON.parse(listed) as { nftables: ListedRule[] };
  return nftables.flatMap(({ rule }) =>
    (rule?.expr ?? []).flatMap(({ counter }) => (counter === undefined ? [] : [counter.packets])),
  );
}

/** Pings; how many were answered. */
async function answered(from: Namespace, to: string): Promise<number> {
  return (await ping({ from, to, count: pings })).received;
}

/** How a TCP connection from `from` to a port where nobody listens ends; the name of the error. */
async function connectError(from: Namespace, to: string, port = 5309): Promise<string> {
  const lines = [
    "import socket",
    "try:",
    `    socket.create_connection(("${to}", ${port}), timeout=2)`,
    "except OSError as error:",
    "    print(type(error).__name__)",
  ];
  const child = from.spawn([python, "-c", lines.join("\n")]);
  return (await child.wait(10_000)).stdout.trim();
}

const egressPackets = async (daemon: Daemon): Promise<number> =>
  (await countersOf(daemon)).tunnels[0]!.peers.reduce((sum, peer) => sum + peer.egress.packets, 0);
const ingressPackets = async (daemon: Daemon): Promise<number> =>
  (await countersOf(daemon)).tunnels[0]!.peers.reduce((sum, peer) => sum + peer.ingress.packets, 0);

describe.each(kinds)(
  "netfilter and a culvert tunnel of type %s",
  (_, { device, config, outer }) => {
    /** Both daemons, and a first answer from pod to pod. */
    async function start(): Promise<[Daemon, Daemon]> {
      const { left, right } = bed.hosts;
      const daemons = await bed.pair(bed.hosts, config);
      await expectReachable(left.pod, right.podIp);
      return daemons;
    }

    afterEach(() => {
      for (const { host } of [bed.hosts.left, bed.hosts.right]) dropRules(host);
    });

    it.each(["forward", "output"] as const)("drops by a rule in %s before encap", async (hook) => {
      const [daemon] = await start();
      const { left, right } = bed.hosts;
      const from = hook === "forward" ? left.pod : left.host;
      await expectReachable(from, right.podIp);
      const match = `oifname "${device}" ip daddr ${right.podIp} icmp type echo-request`;
      setRules(left.host, hook, [`${match} counter drop`]);
      const sent = await egressPackets(daemon);
      const before = devicePackets(left.host, device).tx;
      expect(await answered(from, right.podIp)).toBe(0);
      expect(counted(left.host)).toEqual([pings]);
      expect(devicePackets(left.host, device).tx).toBe(before);
      expect(await egressPackets(daemon)).toBe(sent);
      setRules(left.host, hook, [`${match} counter accept`]);
      expect(await answered(from, right.podIp)).toBe(pings);
      expect(counted(left.host)).toEqual([pings]);
    });

    it.each(["forward", "input"] as const)("drops by a rule in %s after decap", async (hook) => {
      const [, daemon] = await start();
      const { left, right } = bed.hosts;
      const to = hook === "forward" ? right.podIp : right.overlayIp;
      // The way to the host's own overlay address is in the peer's route already.
      await expectReachable(left.pod, to);
      const match = `iifname "${device}" ip saddr ${left.podIp} icmp type echo-request`;
      setRules(right.host, hook, [`${match} counter drop`]);
      const before = devicePackets(right.host, device).rx;
      expect(await answered(left.pod, to)).toBe(0);
      expect(counted(right.host)).toEqual([pings]);
      // They did come out of the tunnel.
      expect(devicePackets(right.host, device).rx).toBe(before + pings);
      expect(await ingressPackets(daemon)).toBeGreaterThanOrEqual(pings);
      setRules(right.host, hook, [`${match} counter accept`]);
      expect(await answered(left.pod, to)).toBe(pings);
      expect(counted(right.host)).toEqual([pings]);
    });

    it("lets replies of established connections in and refuses new ones, both ways", async () => {
      await start();
      for (const [inside, outside] of bothWays(bed.hosts)) {
        setRules(inside.host, "forward", [
          `iifname "${device}" ct state established,related counter accept`,
          `iifname "${device}" ip protocol tcp counter reject with tcp reset`,
          `iifname "${device}" counter drop`,
        ]);
        const path = { from: inside.pod, to: outside.pod, address: outside.podIp };
        const { sent, received } = await transferTcp(path, transfer_bytes);
        expect(received).toEqual(sent);
        expect(await answered(inside.pod, outside.podIp)).toBe(pings);
        const [established, ...refused] = counted(inside.host);
        expect(established).toBeGreaterThan(pings);
        expect(refused).toEqual([0, 0]);
        await expectRefused(outside, inside);
        expect(counted(inside.host).slice(1)).toEqual([1, pings]);
        dropRules(inside.host);
      }
    });

    it.each(["input", "output"] as const)(
      "leaves rules on outer packets in %s in force",
      async (hook) => {
        const [left, right] = await start();
        const { left: from, right: to } = bed.hosts;
        const side = hook === "input" ? to : from;
        const words = `${hook === "input" ? "iifname" : "oifname"} "${underlayDevice}" ${outer}`;
        setRules(side.host, hook, [`${words} counter drop`]);
        const before = await ingressPackets(right);
        expect(await answered(from.pod, to.podIp)).toBe(0);
        expect(counted(side.host)[0]).toBeGreaterThanOrEqual(pings);
        expect(await ingressPackets(right)).toBe(before);
        dropRules(side.host);
        await eventually(async () => expect(await answered(from.pod, to.podIp)).toBe(pings));
        expect(left.child.result).toBeUndefined();
      },
    );

    /** New connections from the outside are refused: TCP with a reset, pings without an answer. */
    async function expectRefused(outside: HostSide, inside: HostSide): Promise<void> {
      expect(await connectError(outside.pod, inside.podIp)).toBe("ConnectionRefusedError");
      expect(await answered(outside.pod, inside.podIp)).toBe(0);
    }
  },
);
