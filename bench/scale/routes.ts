// Very many routes over an ipip device, loaded by `ip -batch`: how long until they are mirrored,
// what memory they hold, and how long a single change takes from `ip route` to the data plane.
// A change has arrived when packets that are sent all the time leave for the new next hop.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createControlClient } from "../../src/control/client.js";
import { Daemon, temporaryFolder } from "../../src/testbed/daemon.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { sleep } from "../../src/testbed/process.js";
import {
  countOption,
  cpu_s,
  createPair,
  type Row,
  residentMib,
  type Scale,
  withCleanup,
} from "./harness.js";

const DEFAULT_ROUTES = 100_000;
const MAX_ROUTES = 131_000;
const GATEWAYS = 200;
/** Even: the first change of another round is one, too. */
const CHANGES = 100;
const PATIENCE_MS = 120_000;
const POLL_MS = 5;

const CONFIG = `tunnels:
  - name: ipip0
    type: ipip
    local: 10.57.4.20
    addresses: [10.99.0.1/32]
`;

/** Prefix number `n`: a /30 of 100.64.0.0/10 and beyond. */
const prefix = (n: number): string =>
  `${100 + (n >>> 20)}.${64 + ((n >>> 14) & 63)}.${(n >>> 6) & 255}.${(n & 63) * 4}/30`;

/**
 * Runs in the host's namespace: changes one route again and again, sends into it until the outer
 * packet leaves for the new next hop, prints the milliseconds of each change as JSON.
 */
const LATENCY_SCRIPT = `
import json, socket, struct, subprocess, sys, time
changes = int(sys.argv[1])
ETH_P_ALL = 3
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
wire.bind(("eth0", ETH_P_ALL))
wire.settimeout(0.0002)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# A process that is there already: starting one takes longer than the change.
ip = subprocess.Popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, bufsize=0)
# What the kernel tells of routes, so that "returned" is when the kernel had done it.
told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
told.bind((0, 1 << 6))
told.settimeout(5)
times = []
for n in range(changes):
    gateway = "10.57.6.%d" % (1 + n % 2)
    wanted = socket.inet_aton(gateway)
    line = "route replace 172.16.99.0/24 via %s dev ipip0 onlink\\n" % gateway
    ip.stdin.write(line.encode())
    told.recv(65536)
    start = time.monotonic()
    arrived = None
    while arrived is None and time.monotonic() - start < 5:
        out.sendto(b"x", ("172.16.99.1", 9))
        try:
            packet = wire.recv(65536)
        except socket.timeout:
            continue
        if packet[9] == 4 and packet[16:20] == wanted:
            arrived = time.monotonic()
    if arrived is None:
        sys.exit("a change did not arrive within 5 s")
    times.append((arrived - start) * 1000)
    time.sleep(0.02)
    wire.setblocking(False)
    try:
        while True: wire.recv(65536)
    except BlockingIOError:
        pass
    wire.settimeout(0.0002)
ip.stdin.close()
ip.wait()
print(json.dumps(times))
`;

/** Milliseconds of CHANGES changes, sorted. */
async function changeTimes_ms(host: Namespace): Promise<number[]> {
  const argv = ["/usr/bin/python3", "-c", LATENCY_SCRIPT, String(CHANGES)];
  const { status, stdout, stderr } = await host.spawn(argv).wait(PATIENCE_MS);
  if (status !== 0) throw new Error(`changing routes: ${stderr.slice(-500)}`);
  return (JSON.parse(stdout) as number[]).sort((a, b) => a - b);
}

const latencyRows = (what: string, times_ms: readonly number[]): Row[] => [
  { what: `change, ${what}: median`, value: times_ms[times_ms.length >> 1], unit: "ms" },
  { what: `change, ${what}: worst of ${CHANGES}`, value: times_ms.at(-1) as number, unit: "ms" },
];

async function untilMirrored(daemon: Daemon, count: number): Promise<void> {
  const client = createControlClient({ socketPath: daemon.socket });
  const end_ms = performance.now() + PATIENCE_MS;
  for (;;) {
    const [tunnel] = (await client.status()).tunnels;
    if (tunnel.route_entries === count) return;
    if (performance.now() > end_ms) {
      throw new Error(`${tunnel.route_entries} of ${count} routes are mirrored`);
    }
    await sleep(POLL_MS);
  }
}

async function measure(count: number): Promise<readonly Row[]> {
  return withCleanup(async (cleanup) => {
    const { host } = createPair(cleanup);
    const file = join(temporaryFolder(cleanup, "scale"), "routes");
    const lines = Array.from(
      { length: count },
      (_, n) =>
        `route add ${prefix(n)} via 10.57.5.${1 + (n % GATEWAYS)} dev ipip0 onlink proto bird\n`,
    );
    writeFileSync(file, lines.join(""));
    // Next hops that the packets of the changed route leave for.
    for (const last of [1, 2]) {
      const mac = ["lladdr", "02:00:00:00:00:99", "dev", "eth0"];
      host.ip("neigh", "add", `10.57.6.${last}`, ...mac);
    }
    const daemon = await Daemon.start({ namespace: host, cleanup, config: CONFIG });
    const idle_ms = await changeTimes_ms(host);
    const empty_mib = residentMib(daemon.pid);
    const cpuBefore_s = cpu_s(daemon.pid);
    const start_ms = performance.now();
    const load = host.spawn(["ip", "-batch", file]);
    const { status, stderr } = await load.wait(PATIENCE_MS);
    if (status !== 0) throw new Error(`ip -batch: ${stderr.slice(0, 500)}`);
    const loaded_ms = performance.now();
    // The route that was changed is one more.
    await untilMirrored(daemon, count + 1);
    const mirrored_ms = performance.now();
    const cpuUsed_s = cpu_s(daemon.pid) - cpuBefore_s;
    const full_mib = residentMib(daemon.pid);
    const full_ms = await changeTimes_ms(host);
    const stopped = await daemon.stop();
    if (stopped.status !== 0) throw new Error(`the daemon ended badly: ${daemon.log}`);
    return [
      { what: "routes", value: count, unit: "" },
      { what: "ip -batch", value: (loaded_ms - start_ms) / 1000, unit: "s" },
      { what: "mirrored after its end", value: mirrored_ms - loaded_ms, unit: "ms" },
      { what: "CPU of the daemon", value: cpuUsed_s, unit: "s" },
      { what: "resident, empty", value: empty_mib, unit: "MiB" },
      { what: "resident, full", value: full_mib, unit: "MiB" },
      ...latencyRows("no other routes", idle_ms),
      ...latencyRows(`${count} routes`, full_ms),
    ];
  });
}

export const scale: Scale = {
  usage: "routes [--routes N]       100,000 routes of the kernel mirrored: time, memory, latency",
  async run(args: readonly string[]): Promise<readonly Row[]> {
    const options = { routes: { type: "string" } } as const;
    const { values } = parseArgs({ args: [...args], options });
    return measure(countOption(values.routes, DEFAULT_ROUTES, MAX_ROUTES));
  },
};
