// A flood list of a thousand remotes: how long unicast waits while broadcast is replicated. Pings
// over the tunnel, alone and beside a stream of broadcast frames.

import { parseArgs } from "node:util";
import { Daemon } from "../../src/testbed/daemon.js";
import { ping, pingUntilAnswered } from "../../src/testbed/ping.js";
import { countOption, createPair, type Row, type Scale, withCleanup } from "./harness.js";

const MAX_REMOTES = 1023;
const PINGS = 500;
const PING_INTERVAL_MS = 10;
/** Broadcast datagrams, one each millisecond, for longer than the pings take. */
const BROADCASTER = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
end = time.monotonic() + 60
while time.monotonic() < end:
    s.sendto(b"x" * 100, ("10.99.0.255", 9))
    time.sleep(RATE)
`;

function config(local: number, remotes: readonly string[]): string {
  return `tunnels:
  - name: vxlan100
    type: vxlan
    vni: 100
    local: 10.57.4.${local}
    addresses: [10.99.0.${local}/24]
    remotes: [${remotes.join(", ")}]
`;
}

async function measure(remotes: number, rate: number): Promise<readonly Row[]> {
  return withCleanup(async (cleanup) => {
    const { host, peer } = createPair(cleanup);
    const members = Array.from(
      { length: remotes - 1 },
      (_, n) => `10.57.${8 + (n >> 7)}.${1 + (n & 127)}`,
    );
    // Nobody is there: packets to them leave the host and end in the peer's namespace.
    const mac = (JSON.parse(peer.ip("-j", "link", "show", "eth0")) as [{ address: string }])[0];
    for (const member of members) {
      host.ip("neigh", "add", member, "lladdr", mac.address, "dev", "eth0", "nud", "permanent");
    }
    const flood = ["10.57.4.21", ...members];
    const daemon = await Daemon.start({ namespace: host, cleanup, config: config(20, flood) });
    const other = await Daemon.start({
      namespace: peer,
      cleanup,
      config: config(21, ["10.57.4.20"]),
    });
    if (!(await pingUntilAnswered(host, "10.99.0.21", 15))) throw new Error("no ping is answered");
    const pings = { from: host, to: "10.99.0.21", count: PINGS, interval_ms: PING_INTERVAL_MS };
    const alone = await ping(pings);
    const script = BROADCASTER.replace("RATE", String(1 / rate));
    const broadcaster = host.spawn(["/usr/bin/python3", "-c", script]);
    const beside = await ping(pings);
    await broadcaster.stop();
    for (const each of [daemon, other]) await each.stop();
    return [
      { what: "remotes", value: remotes, unit: "" },
      { what: "broadcast frames", value: rate, unit: "/s" },
      { what: "ping alone, median", value: alone.median_us, unit: "us" },
      { what: "ping alone, longest", value: alone.max_us, unit: "us" },
      { what: "ping beside floods, median", value: beside.median_us, unit: "us" },
      { what: "ping beside floods, longest", value: beside.max_us, unit: "us" },
      { what: "ping beside floods, lost", value: beside.loss * 100, unit: "%" },
    ];
  });
}

export const scale: Scale = {
  usage: "flood [--remotes N] [--rate N]      1,000 remotes: pings while broadcast is replicated",
  async run(args: readonly string[]): Promise<readonly Row[]> {
    const options = { remotes: { type: "string" }, rate: { type: "string" } } as const;
    const { values } = parseArgs({ args: [...args], options });
    const remotes = countOption(values.remotes, 1000, MAX_REMOTES);
    return measure(remotes, countOption(values.rate, 50, 1000));
  },
};
