// `culvert doctor` on real hosts: each trap is set, found, and gone after its cure; where the
// kernel drops or joins packets because of it, that is seen to happen.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Finding } from "../../src/doctor/finding.js";
import type { Daemon } from "../../src/testbed/daemon.js";
import { temporaryFolder } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { culvertEntry } from "../../src/testbed/project.js";
import { createTwoHosts, forgetPathMtus, leftAddresses } from "../../src/testbed/two-hosts.js";
import {
  countersOf,
  devicePackets,
  dropsOf,
  eventually,
  ipipConfig,
  scapy,
  silenceIpv6,
  useBed,
  vxlanConfig,
} from "./support.js";

const bed = useBed(["scapy", "setpriv"], (cleanup) => {
  const two = createTwoHosts(cleanup);
  for (const { host } of [two.left, two.right]) silenceIpv6(host);
  return two;
});

/** What a test did to the left host. */
const undo: string[] = [];

function left(command: string): string {
  return bed.hosts.left.host.run("sh", "-c", command);
}

/** Sets a trap for the rest of the test. */
function trap(set: string, reset: string): void {
  undo.unshift(reset);
  left(set);
}

afterEach(() => {
  for (const command of undo.splice(0)) left(`${command} 2>/dev/null || true`);
});

const start = (lines: readonly string[] = []): Promise<Daemon> =>
  bed.start(bed.hosts.left.host, ipipConfig(bed.hosts.left, bed.hosts.right, lines));

interface Answer {
  status: number | null;
  findings: Finding[];
}

const names = ({ findings }: Answer): string[] => findings.map(({ check }) => check);

async function ask(daemon: Daemon): Promise<Answer> {
  const { status, stdout, stderr } = await daemon.culvert("doctor", "-j");
  expect(stderr).toBe("");
  return { status, findings: JSON.parse(stdout) as Finding[] };
}

/** `culvert doctor` without a daemon, as the last of the words of a command. */
async function askHost(prefix: readonly string[] = [], words: readonly string[] = []) {
  const socket = `${temporaryFolder(bed.cleanup, "doctor")}/none`;
  const argv = [process.execPath, culvertEntry(), "doctor", "-j", "--socket", socket, ...words];
  const child = bed.hosts.left.host.spawn([...prefix, ...argv]);
  const { status, stdout, stderr } = await child.wait(20_000);
  expect(stderr).toBe("");
  return { status, findings: JSON.parse(stdout) as Finding[] };
}

/** Expects one finding of that check alone, whose cure takes it away. */
async function expectCured(daemon: Daemon, check: string): Promise<Finding> {
  const sick = await ask(daemon);
  expect(names(sick)).toEqual([check]);
  const [finding] = sick.findings as [Finding];
  expect(sick.status).toBe(finding.level === "problem" ? 1 : 0);
  left(finding.cure);
  expect(await ask(daemon)).toEqual({ status: 0, findings: [] });
  return finding;
}

/** Packets that the reverse-path filter of a host has dropped. */
function filtered(host: Namespace): number {
  const lines = host.run("cat", "/proc/net/netstat").split("\n");
  const [titles, values] = lines.filter((line) => line.startsWith("TcpExt:"));
  const at = titles!.split(" ").indexOf("IPReversePathFilter");
  return Number(values!.split(" ")[at]);
}

/** Sends from the right host a packet whose inner source is routed by the underlay. */
function sendFromElsewhere(): void {
  const { left: to, right } = bed.hosts;
  const inner = `IP(src="203.0.113.1", dst="${to.podIp}")/UDP(dport=9)`;
  scapy(right.host, [`send(IP(dst="${to.underlayIp}")/${inner})`]);
}

describe("with a daemon", () => {
  it("finds nothing on hosts that are set up well", async () => {
    expect(await ask(await start())).toEqual({ status: 0, findings: [] });
    const vxlan = vxlanConfig(bed.hosts.right, bed.hosts.left);
    expect(await ask(await bed.start(bed.hosts.right.host, vxlan))).toEqual({
      ...{ status: 0, findings: [] },
    });
  });

  it("finds a strict reverse-path filter, which drops", async () => {
    const daemon = await start();
    trap("sysctl -qw net.ipv4.conf.all.rp_filter=1", "sysctl -qw net.ipv4.conf.all.rp_filter=2");
    const { host } = bed.hosts.left;
    const before = filtered(host);
    sendFromElsewhere();
    await eventually(() => expect(filtered(host)).toBe(before + 1));
    const finding = await expectCured(daemon, "rp-filter-strict");
    expect(finding).toMatchObject({ level: "warning", dev: "ipip0" });
    sendFromElsewhere();
    await eventually(() => expect(devicePackets(host, "ipip0").rx).toBe(2));
    left("sysctl -qw net.ipv4.conf.ipip0.rp_filter=0");
    sendFromElsewhere();
    // Of three packets the second one, which came while the filter was loose, was let through.
    await eventually(() => {
      const { rx } = devicePackets(host, "ipip0");
      expect({ rx, filtered: filtered(host) }).toEqual({ rx: 3, filtered: before + 2 });
    });
  });

  it("finds a loose filter on a device without address, which drops as well", async () => {
    const daemon = await start(["addresses: []"]);
    const { host } = bed.hosts.left;
    const before = filtered(host);
    sendFromElsewhere();
    await eventually(() => expect(filtered(host)).toBe(before + 1));
    const sick = await ask(daemon);
    expect(names(sick)).toEqual(["rp-filter-no-address"]);
    left(sick.findings[0]!.cure.replace("ADDRESS", leftAddresses.overlayIp));
    expect(names(await ask(daemon))).toEqual([]);
  });

  it("finds forwarding turned off, for all and for the device", async () => {
    const daemon = await start();
    trap("sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1");
    await expectCured(daemon, "forwarding-ipv4");
    left("sysctl -qw net.ipv4.conf.ipip0.forwarding=0");
    expect(await expectCured(daemon, "forwarding-ipv4")).toMatchObject({ dev: "ipip0" });
  });

  it.each(["rx-udp-gro-forwarding", "rx-gro-list"])("finds %s, which joins", async (feature) => {
    const daemon = await start();
    // A veth hands over each packet by itself; a NIC does it in batches, as here.
    const batches = "echo 100000000 >gro_flush_timeout; echo 10 >napi_defer_hard_irqs";
    const single = "echo 0 >gro_flush_timeout; echo 0 >napi_defer_hard_irqs";
    const eth0 = "cd /sys/class/net/eth0 &&";
    trap(`${eth0} { ${batches}; }`, `${eth0} { ${single}; }`);
    trap(`ethtool -K eth0 gro on ${feature} on`, `ethtool -K eth0 ${feature} off`);
    const { left: to, right } = bed.hosts;
    const source = right.overlayIp;
    const inner = `IP(src="${source}", dst="${to.overlayIp}", flags="DF", id=0)/UDP(dport=9)/("x"*100)`;
    const outer = `IP(dst="${to.underlayIp}", flags="DF", id=0)`;
    const send = (): string => scapy(right.host, [`send(${outer}/${inner}, count=20)`]);
    const merged = async () => dropsOf(await countersOf(daemon))["ingress merged-udp"] ?? 0;
    send();
    await eventually(async () => expect(await merged()).toBeGreaterThan(0));
    const finding = await expectCured(daemon, "udp-gro");
    expect(finding).toMatchObject({ level: "problem", dev: "eth0" });
    expect(finding.what).toContain(feature);
    const { rx } = devicePackets(to.host, "ipip0");
    const before = await merged();
    await eventually(() => {
      send();
      // The timer may hold the last ones back.
      expect(devicePackets(to.host, "ipip0").rx).toBeGreaterThan(rx + 10);
    });
    expect(await merged()).toBe(before);
  });

  it("finds remotes that cannot be reached", async () => {
    const daemon = await start();
    const remote = bed.hosts.right.underlayIp;
    trap(`ip route add unreachable ${remote}`, `ip route del unreachable ${remote}`);
    const lost = await ask(daemon);
    expect(names(lost)).toEqual(["remote-no-route"]);
    expect(lost.findings[0]!.what).toContain(remote);
    left(`ip route del unreachable ${remote}`);
    expect(names(await ask(daemon))).toEqual([]);
    trap(`ip route add ${remote} dev ipip0`, `ip route del ${remote}`);
    expect(names(await ask(daemon))).toEqual(["remote-recursion"]);
    left(`ip route replace ${remote} dev eth0`);
    expect(names(await ask(daemon))).toEqual([]);
  });

  it("finds a device whose MTU the underlay does not carry", async () => {
    const daemon = await start();
    trap("ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500");
    const { what } = await expectCured(daemon, "mtu");
    expect(what).toContain("is 1480, but the path to 10.57.4.21 takes packets of 1380");
  });

  it("finds what was learned of a path", async () => {
    const daemon = await start();
    const { left: to, right } = bed.hosts;
    const quote = `IP(src="${to.underlayIp}", dst="${right.underlayIp}", proto=4, flags="DF")`;
    const inner = `IP(src="${to.overlayIp}", dst="${right.overlayIp}")/UDP()`;
    const error = `ICMP(type=3, code=4, nexthopmtu=1400)/${quote}/${inner}`;
    scapy(right.host, [`send(IP(dst="${to.underlayIp}")/${error})`]);
    await eventually(async () => expect(names(await ask(daemon))).toEqual(["mtu"]));
    await expectCured(daemon, "mtu");
    forgetPathMtus(bed.hosts);
  });

  it("finds a device that is down, and one that is elsewhere", async () => {
    const daemon = await start();
    left("ip link set ipip0 down");
    expect(names(await ask(daemon))).toContain("tunnel-device");
    left("ip link set ipip0 up");
    const argv = [process.execPath, culvertEntry(), "doctor", "-j", "--socket", daemon.socket];
    const { status, stdout } = await bed.hosts.right.host.spawn(argv).wait(20_000);
    expect(status).toBe(1);
    const elsewhere = (JSON.parse(stdout) as Finding[]).find(
      (one) => one.check === "tunnel-device",
    );
    expect(elsewhere!.cure).toContain(`nsenter -t ${daemon.pid} -n`);
  });
});

describe("without a daemon", () => {
  it("looks at the host alone, and says so", async () => {
    const well = await askHost();
    expect(well.status).toBe(0);
    expect(well.findings).toMatchObject([{ check: "daemon", level: "ok" }]);
    trap("sysctl -qw net.ipv4.conf.all.rp_filter=1", "sysctl -qw net.ipv4.conf.all.rp_filter=2");
    expect(names(await askHost())).toEqual(["rp-filter-strict", "daemon"]);
  });

  it("looks at the tunnels of a file", async () => {
    const file = join(temporaryFolder(bed.cleanup, "doctor"), "config.yaml");
    writeFileSync(file, ipipConfig(bed.hosts.left, bed.hosts.right));
    expect(await askHost([], ["--config", file])).toEqual({ status: 0, findings: [] });
    const remote = bed.hosts.right.underlayIp;
    trap(`ip route add unreachable ${remote}`, `ip route del unreachable ${remote}`);
    expect(names(await askHost([], ["--config", file]))).toEqual(["remote-no-route"]);
    writeFileSync(file, ipipConfig(bed.hosts.right, bed.hosts.left));
    const misplaced = await askHost([], ["--config", file]);
    expect(misplaced.status).toBe(1);
    expect(names(misplaced)).toEqual(["underlay"]);
    expect(misplaced.findings[0]!.what).toBe("ipip0: no device has the local address 10.57.4.21");
  });

  it("misses capabilities and /dev/net/tun", async () => {
    const drop = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"];
    const bare = await askHost(drop);
    expect(bare.status).toBe(1);
    expect(bare.findings[0]).toMatchObject({ check: "capabilities", level: "problem" });
    expect(bare.findings[0]!.what).toMatch(/ CAP_NET_RAW$/);
    const hidden = 'mount -t tmpfs none /dev/net && exec "$@"';
    const without = await askHost(["unshare", "-m", "sh", "-c", hidden, "sh"]);
    expect(names(without)).toEqual(["dev-net-tun", "daemon"]);
    expect(without.findings[0]!.what).toBe("/dev/net/tun does not exist");
  });
});
