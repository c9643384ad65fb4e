// The TAP as a port of a Linux bridge with pods on it: many MACs behind one VTEP, ARP, neighbour
// discovery and broadcast through the flood lists of three hosts, one of them the kernel's vxlan;
// no loop, nothing sent from the underlay back into it, VLAN tags, link-local frames.

import { beforeAll, describe, expect, it } from "vitest";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import { TestbedError } from "../../src/testbed/error.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { Capture, countersOf, culvertJson, dropsOf, eventually, scapy, useBed } from "./support.js";
import { expectReachable } from "./traffic.js";

const podsPerHost = 2;
const kernelHost = 2;
const device = "vxlan100";

interface Pod {
  ns: Namespace;
  mac: string;
  ip: string;
  ip6: string;
}

interface BridgedHost {
  ns: Namespace;
  underlayIp: string;
  pods: Pod[];
}

const flat = (hosts: readonly BridgedHost[]): Pod[] => hosts.flatMap(({ pods }) => pods);

function addPod(cleanup: Cleanup, host: Namespace, h: number, p: number): Pod {
  const ns = Namespace.create(cleanup, `pod${h}${p}`);
  const mac = `02:00:00:00:0${h + 1}:0${p + 1}`;
  addVeth({ namespace: ns, device: "eth0" }, { namespace: host, device: `pod${p}` }, 1450);
  ns.ip("link", "set", "eth0", "address", mac);
  const pod = { ns, mac, ip: `10.88.0.${10 * (h + 1) + p}`, ip6: `fd88::${h + 1}${p}` };
  ns.ip("addr", "add", `${pod.ip}/24`, "dev", "eth0");
  ns.ip("addr", "add", `${pod.ip6}/64`, "dev", "eth0", "nodad");
  host.ip("link", "set", `pod${p}`, "master", "br1");
  return pod;
}

/** Three hosts on one wire, each with a bridge and its pods on it; no tunnel yet. */
function createHosts(cleanup: Cleanup): BridgedHost[] {
  const hub = Namespace.create(cleanup, "brhub");
  hub.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0");
  hub.ip("link", "set", "br0", "up");
  return [0, 1, 2].map((h) => {
    const ns = Namespace.create(cleanup, `brhost${h}`);
    // The hosts themselves say nothing into the overlay: only pods do.
    ns.sysctl("net.ipv6.conf.default.disable_ipv6", 1);
    addVeth({ namespace: ns, device: "eth0" }, { namespace: hub, device: `port${h}` });
    hub.ip("link", "set", `port${h}`, "master", "br0");
    const underlayIp = `10.57.4.${20 + h}`;
    ns.ip("addr", "add", `${underlayIp}/24`, "dev", "eth0");
    ns.ip("link", "add", "br1", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0");
    ns.ip("link", "set", "br1", "up");
    const pods = Array.from({ length: podsPerHost }, (_, p) => addPod(cleanup, ns, h, p));
    return { ns, underlayIp, pods };
  });
}

const bed = useBed(["scapy", "tcpdump", "tshark"], createHosts);
let hosts: BridgedHost[];
beforeAll(() => {
  if (process.getuid?.() === 0) hosts = bed.hosts;
});

function addKernelVxlan({ ns, underlayIp }: BridgedHost): void {
  ns.ip(
    ...["link", "add", device, "type", "vxlan", "id", "100", "local", underlayIp],
    ...["dev", "eth0", "dstport", "4789"],
  );
  for (const other of hosts) {
    if (other.ns === ns) continue;
    const entry = ["00:00:00:00:00:00", "dev", device, "dst", other.underlayIp];
    ns.run("bridge", "fdb", "append", ...entry);
  }
  ns.ip("link", "set", device, "master", "br1", "up");
}

/** Culvert on the first two hosts with `lines` in the first one's tunnel; the kernel on the third. */
async function startAll(...lines: string[]): Promise<Daemon[]> {
  if (!hosts[kernelHost]!.ns.hasDevice(device)) addKernelVxlan(hosts[kernelHost]!);
  const daemons: Daemon[] = [];
  for (const [h, { ns, underlayIp }] of hosts.slice(0, kernelHost).entries()) {
    const remotes = hosts.filter((host) => host.ns !== ns).map((host) => host.underlayIp);
    const more = h === 0 ? lines.map((line) => `    ${line}\n`).join("") : "";
    const config = `tunnels:
  - name: ${device}
    type: vxlan
    vni: 100
    local: ${underlayIp}
    remotes: [${remotes.join(", ")}]
${more}`;
    daemons.push(await bed.start(ns, config));
    ns.ip("link", "set", device, "master", "br1");
  }
  return daemons;
}

/** Frames of type 0x88b5 [IEEE 802 local experimental] from a pod. */
function sendMarked(from: Namespace, dst: string, count: number, tag = "", iface = "eth0"): void {
  scapy(from, [
    `frame = Ether(src=get_if_hwaddr("${iface}"),dst="${dst}"${tag === "" ? ",type=0x88b5" : ""})`,
    `sendp(frame/${tag}Raw(bytes(50)), iface="${iface}", count=${count})`,
  ]);
}

describe("pods on bridges of three hosts", () => {
  it("reach each other by IPv4 and IPv6; their MACs are learned behind their hosts", async () => {
    const [first] = await startAll();
    for (const from of flat(hosts)) {
      for (const to of flat(hosts)) {
        if (from === to) continue;
        await expectReachable(from.ns, to.ip);
        await expectReachable(from.ns, to.ip6);
      }
    }
    const fdb = await culvertJson<{ mac: string; dst: string }[]>(first!, "fdb", "show");
    for (const { underlayIp, pods } of hosts.slice(1)) {
      for (const { mac } of pods) {
        expect(fdb).toContainEqual(expect.objectContaining({ mac, dst: underlayIp }));
      }
    }
    expect(dropsOf(await countersOf(first!))).toEqual({});
  });

  it("get a broadcast once each; no host sends on what came from the underlay", async () => {
    const daemons = await startAll();
    const marked = "ether proto 0x88b5";
    const pods = flat(hosts);
    const captures = await Promise.all(
      pods.map(({ ns }) => Capture.start(bed.cleanup, ns, "eth0", marked)),
    );
    const wires = await Promise.all(
      hosts.map(({ ns }) => Capture.start(bed.cleanup, ns, "eth0", "udp port 4789")),
    );
    const sent = 7;
    for (const h of [0, kernelHost]) sendMarked(hosts[h]!.pods[0]!.ns, "ff:ff:ff:ff:ff:ff", sent);
    const count = (capture: Capture, filter = "eth.type == 0x88b5"): number =>
      capture.rows(filter, ["frame.number"]).length;
    await eventually(() => {
      // Whoever sends sees its own frames leave, and the other sender's arrive.
      expect(captures.map((capture) => count(capture))).toEqual(pods.map(() => 2 * sent));
    });
    const [a, b, c] = hosts.map(({ underlayIp }) => underlayIp);
    const between = (src: string | undefined, dst: string | undefined): number =>
      count(wires[1]!, `vxlan && eth.type == 0x88b5 && ip.src == ${src} && ip.dst == ${dst}`);
    // One datagram on a veth may stand for several equal ones (UDP_SEGMENT): pods count frames.
    expect(between(a, b)).toBeGreaterThan(0);
    expect(between(c, b)).toBeGreaterThan(0);
    expect(between(b, a)).toBe(0);
    expect(between(b, c)).toBe(0);
    for (const daemon of daemons) expect(dropsOf(await countersOf(daemon))).toEqual({});
    await Promise.all([...captures, ...wires].map((capture) => capture.stop()));
  });

  it("exchange tagged frames, which `inner_vlan: drop` stops on its host", async () => {
    const tag = "Dot1Q(vlan=5,type=0x88b5)/";
    const [a, b] = hosts as [BridgedHost, BridgedHost];
    const filter = "vlan.id == 5";
    const arrives = async (lines: string[]): Promise<[number, Record<string, number>]> => {
      const [first] = await startAll(...lines);
      const capture = await Capture.start(bed.cleanup, a.pods[0]!.ns, "eth0", "");
      sendMarked(b.pods[0]!.ns, "ff:ff:ff:ff:ff:ff", 3, tag);
      sendMarked(b.pods[0]!.ns, "ff:ff:ff:ff:ff:ff", 1);
      await eventually(() =>
        expect(capture.rows("eth.type == 0x88b5 && !vlan", ["frame.number"])).toHaveLength(1),
      );
      const tagged = capture.rows(filter, ["frame.number"]).length;
      await capture.stop();
      return [tagged, dropsOf(await countersOf(first!))];
    };
    expect(await arrives([])).toEqual([3, {}]);
    await bed.stopDaemons(false);
    expect(await arrives(["inner_vlan: drop"])).toEqual([0, { "ingress inner-vlan": 3 }]);
  });

  it("are kept apart by VLAN-aware bridges", async (context) => {
    try {
      for (const { ns } of hosts)
        ns.ip("link", "set", "br1", "type", "bridge", "vlan_filtering", "1");
    } catch (error) {
      if (!(error instanceof TestbedError)) throw error;
      return context.skip(`this kernel has no VLAN-aware bridge: ${error.message}`);
    }
    try {
      await startAll();
      for (const { ns } of hosts) {
        ns.run("bridge", "vlan", "add", "dev", device, "vid", "7");
        ns.run("bridge", "vlan", "del", "dev", "pod1", "vid", "1");
        ns.run("bridge", "vlan", "add", "dev", "pod1", "vid", "7", "pvid", "untagged");
      }
      await expectReachable(hosts[0]!.pods[0]!.ns, hosts[1]!.pods[0]!.ip);
      await expectReachable(hosts[0]!.pods[1]!.ns, hosts[kernelHost]!.pods[1]!.ip);
      const { ns } = hosts[0]!.pods[0]!;
      const reached = ns.run("sh", "-c", `ping -c 2 -W 1 ${hosts[1]!.pods[1]!.ip} || true`);
      expect(reached).toContain(" 0 received");
    } finally {
      for (const { ns } of hosts) {
        ns.run("sh", "-c", "bridge vlan add dev pod1 vid 1 pvid untagged || true");
        ns.ip("link", "set", "br1", "type", "bridge", "vlan_filtering", "0");
      }
    }
  });

  it("never see link-local frames (STP, LLDP), which the tunnel carries and bridges keep", async () => {
    await startAll();
    const [a, b, c] = hosts as [BridgedHost, BridgedHost, BridgedHost];
    const lldp = "01:80:c2:00:00:0e";
    const marked = "ether proto 0x88b5";
    const devices = await Promise.all(
      [b, c].map(({ ns }) => Capture.start(bed.cleanup, ns, device, marked)),
    );
    const pod = await Capture.start(bed.cleanup, b.pods[0]!.ns, "eth0", marked);
    sendMarked(a.ns, lldp, 2, "", device); // as lldpd or a bridge's STP would
    sendMarked(a.pods[0]!.ns, lldp, 4); // from a pod: the bridge takes it
    sendMarked(a.pods[0]!.ns, "ff:ff:ff:ff:ff:ff", 1);
    const seen = (capture: Capture, dst: string): number =>
      capture.rows(`eth.dst == ${dst}`, ["frame.number"]).length;
    await eventually(() => expect(seen(pod, "ff:ff:ff:ff:ff:ff")).toBe(1));
    for (const capture of devices) await eventually(() => expect(seen(capture, lldp)).toBe(2));
    expect(seen(pod, lldp)).toBe(0);
    await Promise.all([...devices, pod].map((capture) => capture.stop()));
  });
});
