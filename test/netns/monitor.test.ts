// What others are told of a tunnel's entries: `bridge monitor fdb`, `ip monitor neigh` and `culvert
// monitor` on a host with culvert, next to the kernel's tools on a host with the kernel's own vxlan
// device. Both get the same frames and the same commands; the kernel says what the lines are.

import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import type { Child } from "../../src/testbed/process.js";
import { culvertEntry } from "../../src/testbed/project.js";
import {
  countersOf,
  createStations,
  culvert,
  eventOf,
  eventually,
  macOf,
  python,
  type Station,
  scapy,
  stationConfig,
  useBed,
} from "./support.js";

const DEVICE = "vxlan100";
const AGEING_S = 3;
const ROAMING = "02:00:00:00:00:0e";
const FIXED = "02:00:00:00:00:0f";
const UNKNOWN = "02:00:00:00:00:77";
/** MACs of frames that only show that a monitor listens. */
const PRIMING = "02:00:00:00:ff:";
/** Monitors that a test started. */
let monitors: Child[] = [];

const bed = useBed(["scapy", "python3"], (cleanup) => {
  const stations = createStations(cleanup, 4);
  const { host, underlayIp, overlayIp } = stations[KERNEL]!;
  host.ip(
    ...["link", "add", DEVICE, "address", macOf(0), "type", "vxlan", "id", "100"],
    ...["local", underlayIp, "dstport", "4789", "ageing", String(AGEING_S)],
    ...["proxy", "l2miss", "l3miss"],
  );
  host.ip("addr", "add", `${overlayIp}/24`, "dev", DEVICE);
  host.ip("link", "set", DEVICE, "up");
  return stations;
});

const CULVERT = 0;
const KERNEL = 3;
let stations: Station[];
beforeAll(() => {
  if (process.getuid?.() === 0) stations = bed.hosts;
});
afterEach(async () => {
  await Promise.all(monitors.map((monitor) => monitor.stop()));
  monitors = [];
});

function start(...lines: string[]): Promise<Daemon> {
  const { host } = stations[CULVERT]!;
  return bed.start(host, stationConfig(stations[CULVERT]!, macOf(0), ["allow: any", ...lines]));
}

function monitor(host: Namespace, ...argv: string[]): Child {
  const child = host.spawn(argv);
  monitors.push(child);
  return child;
}

function monitorCulvert({ socket }: Daemon, ...words: string[]): Child {
  const argv = [process.execPath, culvertEntry(), "monitor", ...words, "--socket", socket];
  return monitor(stations[CULVERT]!.host, ...argv);
}

/** Lines about the tunnel, those of priming frames left out; blanks at their ends as printed. */
function linesOf({ stdout }: Child): string[] {
  const lines = stdout.split("\n").filter((line) => ` ${line} `.includes(` dev ${DEVICE} `));
  return lines.filter((line) => !line.includes(PRIMING));
}

/** A frame with `mac` as source from a station's VTEP to the culvert host and the kernel's. */
function send(from: number, ...macs: string[]): void {
  const frame = (to: Station, mac: string) =>
    `send(IP(dst="${to.underlayIp}")/UDP(sport=50000,dport=4789)/VXLAN(flags=8,vni=100)` +
    `/Ether(src="${mac}",dst="${macOf(0)}",type=0x88b5)/Raw(bytes(46)))`; // nobody answers that
  const targets = [stations[CULVERT]!, stations[KERNEL]!];
  const lines = macs.flatMap((mac) => targets.map((to) => frame(to, mac)));
  scapy(stations[from]!.host, lines);
}

/** Resolves when every monitor has seen a frame's source learned. */
async function listening(...children: Child[]): Promise<void> {
  let n = 0;
  await eventually(() => {
    send(1, `${PRIMING}${(n++ % 256).toString(16).padStart(2, "0")}`);
    for (const { stdout } of children) expect(stdout).toContain(PRIMING);
  });
}

/** What every monitor is to say; the kernel's has said it. */
async function expectSame(oracle: Child, monitors_: Child[], count: number): Promise<string[]> {
  const lines = await eventually(() => {
    const said = linesOf(oracle);
    expect(said).toHaveLength(count);
    return said;
  });
  for (const child of monitors_) await eventually(() => expect(linesOf(child)).toEqual(lines));
  return lines;
}

describe("bridge monitor fdb and culvert monitor", () => {
  it("show MACs learned, moved and aged out as for the kernel's device", async () => {
    const daemon = await start(`ageing_s: ${AGEING_S}`);
    const ours = monitor(stations[CULVERT]!.host, "bridge", "monitor", "fdb");
    const shown = monitorCulvert(daemon, "fdb", "dev", DEVICE);
    const oracle = monitor(stations[KERNEL]!.host, "bridge", "monitor", "fdb");
    await listening(ours, shown, oracle);
    send(1, ROAMING);
    send(2, ROAMING);
    const [one, two] = [stations[1]!.underlayIp, stations[2]!.underlayIp];
    const entry = (dst: string) => `${ROAMING} dev ${DEVICE} dst ${dst} self `;
    expect(await expectSame(oracle, [ours, shown], 3)).toEqual([
      ...[entry(one), entry(two), `Deleted ${entry(two)}stale`],
    ]);
  });

  it("show entries set and removed as for the kernel's device", async () => {
    const daemon = await start();
    const kernel = stations[KERNEL]!.host;
    const ours = monitor(stations[CULVERT]!.host, "bridge", "monitor", "fdb");
    const shown = monitorCulvert(daemon, "fdb");
    const oracle = monitor(kernel, "bridge", "monitor", "fdb");
    await listening(ours, shown, oracle);
    const [one, two] = [stations[1]!.underlayIp, stations[2]!.underlayIp];
    const commands = [
      `fdb add ${FIXED} dev ${DEVICE} dst ${one}`,
      `fdb replace ${FIXED} dev ${DEVICE} dst ${two}`,
      `fdb del ${FIXED} dev ${DEVICE}`,
      `fdb add ${FIXED} dev ${DEVICE} dst ${one} port 8472 vni 7`,
      `fdb append 00:00:00:00:00:00 dev ${DEVICE} dst ${one}`,
      `fdb append 00:00:00:00:00:00 dev ${DEVICE} dst ${two}`,
      `fdb del 00:00:00:00:00:00 dev ${DEVICE} dst ${one}`,
      `fdb del 00:00:00:00:00:00 dev ${DEVICE} dst ${two}`,
      `fdb del ${FIXED} dev ${DEVICE}`,
      `fdb add ${FIXED} dev ${DEVICE} dst ${one} dynamic router extern_learn`,
      `fdb del ${FIXED} dev ${DEVICE}`,
    ];
    for (const command of commands) {
      kernel.run("bridge", ...command.split(" "));
      await culvert(daemon, command);
    }
    await expectSame(oracle, [ours, shown], commands.length);
  });
});

describe("ip monitor neigh and culvert monitor", () => {
  it("show misses and neighbours as for the kernel's device", async () => {
    const daemon = await start("proxy: true", "l2miss: true", "l3miss: true");
    const { host } = stations[CULVERT]!;
    const kernel = stations[KERNEL]!.host;
    const ours = monitor(host, "ip", "monitor", "neigh");
    const shown = monitorCulvert(daemon, "miss", "fdb", "neigh");
    const oracle = monitor(kernel, "ip", "monitor", "neigh");
    await listening(ours, shown, oracle);
    const neighbour = `neigh add 10.99.0.7 lladdr ${UNKNOWN} dev ${DEVICE}`;
    kernel.ip(...neighbour.split(" "));
    await culvert(daemon, neighbour);
    for (const side of [host, kernel]) {
      scapy(side, [
        `arp = ARP(op=1,psrc="10.99.0.1",pdst="10.99.0.8")`,
        `sendp(Ether(src="${macOf(0)}",dst="${UNKNOWN}")/IP(dst="10.99.0.7")/UDP(), iface="${DEVICE}")`,
        `sendp(Ether(src="${macOf(0)}",dst="ff:ff:ff:ff:ff:ff")/arp, iface="${DEVICE}")`,
      ]);
    }
    const lines = await expectSame(oracle, [ours, shown], 3);
    expect(lines).toEqual([
      `10.99.0.7 dev ${DEVICE} lladdr ${UNKNOWN} PERMANENT `,
      `miss dev ${DEVICE} lladdr ${UNKNOWN} STALE `,
      `miss 10.99.0.8 dev ${DEVICE} STALE `,
    ]);
  });

  it("show nothing of a tunnel with `notify: false`, which culvert monitor does", async () => {
    const daemon = await start("notify: false");
    const ours = monitor(stations[CULVERT]!.host, "bridge", "monitor", "fdb");
    const shown = monitorCulvert(daemon);
    await listening(shown);
    expect(linesOf(ours)).toEqual([]);
    expect(ours.stdout).not.toContain(PRIMING);
  });
});

describe("culvert monitor", () => {
  it("shows peers, first seen and refused, and the log has the refused one once", async () => {
    const { underlayIp } = stations[1]!;
    const { host } = stations[CULVERT]!;
    const config = stationConfig(stations[CULVERT]!, macOf(0), [`allow: ["${underlayIp}/32"]`]);
    const daemon = await bed.start(host, config);
    const shown = monitorCulvert(daemon, "peer", "fdb");
    await listening(shown);
    for (let n = 0; n < 3; n++) send(2, ROAMING);
    const refused = stations[2]!.underlayIp;
    await eventually(() =>
      expect(linesOf(shown)).toEqual([
        `peer ${underlayIp} dev ${DEVICE} seen`,
        `peer ${refused} dev ${DEVICE} refused foreign-source count 1`,
      ]),
    );
    const warnings = daemon.log.split("\n").filter((line) => line.includes("foreign-source"));
    expect(warnings).toHaveLength(1);
    expect(JSON.parse(warnings[0]!)).toMatchObject({
      ...{ level: 40, tunnel: DEVICE, source: refused, reason: "foreign-source", count: 1 },
    });
  });

  it("ends well by SIGINT, and with status 3 and a word when the daemon stops", async () => {
    const daemon = await start();
    const first = monitorCulvert(daemon);
    const second = monitorCulvert(daemon);
    await listening(first, second);
    expect(await first.stop("SIGINT")).toMatchObject({ status: 0, stderr: "" });
    expect((await daemon.stop()).status).toBe(0);
    const { status, stderr } = await second.wait(5000);
    expect(status).toBe(3);
    expect(stderr).toContain(`the daemon at ${daemon.socket} has stopped`);
  });

  it("that does not read loses events, is told how many, and holds nobody up", async () => {
    const daemon = await start();
    const stopped = monitorCulvert(daemon, "fdb");
    await listening(stopped);
    const before = eventOf(await countersOf(daemon), "learned");
    const linesBefore = stopped.stdout.split("\n").length;
    process.kill(stopped.pid, "SIGSTOP");
    const count = 6000;
    stations[1]!.host.run(python, "-c", floodScript(stations[CULVERT]!.underlayIp, count));
    await eventually(async () => {
      const learned = eventOf(await countersOf(daemon), "learned") - before;
      expect(learned).toBeGreaterThan(count / 2); // the rest found a socket's buffer full
    });
    process.kill(stopped.pid, "SIGCONT");
    const lost = await eventually(async () => {
      const numbers = [...stopped.stderr.matchAll(/(\d+) events? (?:was|were) lost/g)];
      const sum = numbers.reduce((total, [, n]) => total + Number(n), 0);
      const told = stopped.stdout.split("\n").length - linesBefore;
      expect(told + sum).toBe(eventOf(await countersOf(daemon), "learned") - before);
      return sum;
    });
    expect(lost).toBeGreaterThan(0);
  });
});

/** Python that sends `count` frames, each with another source MAC, as fast as it can. */
function floodScript(to: string, count: number): string {
  return [
    "import socket, struct",
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    `s.connect(("${to}", 4789))`,
    `for n in range(${count}):`,
    `    mac = struct.pack("!HI", 0x0200, 0x00010000 + n)`,
    `    s.send(struct.pack("!II", 0x08000000, 100 << 8) + bytes(6) + mac + bytes(50))`,
  ].join("\n");
}
