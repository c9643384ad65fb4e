// Many VNIs on one port in one daemon: all start, some carry traffic, a VNI that nobody has is
// counted, reports hold all of them, and nothing is left behind. 300 by default; CULVERT_VNIS=4000
// measures the largest there can be, and prints what it took.

import { describe, expect, it } from "vitest";
import { createControlClient } from "../../src/control/client.js";
import { processCpu_s, residentMemory_bytes } from "../../src/testbed/cpu.js";
import { sleep } from "../../src/testbed/process.js";
import {
  createStations,
  culvertEnds,
  culvertJson,
  devicesOf,
  eventually,
  useBed,
} from "./support.js";
import { expectReachable } from "./traffic.js";

const count = Number(process.env.CULVERT_VNIS ?? 300);
const firstVni = 1000;
const idle_ms = 10_000;
const stopPatience_ms = 120_000;

const bed = useBed([], (cleanup) => createStations(cleanup, 2));

/** Tunnel `i` of a station: VNI, names and addresses follow from it. */
function tunnelLine(i: number, local: string, remote: string, host: number): string {
  const address = `10.${100 + (i >> 8)}.${i & 255}.${host}/24`;
  return `  - { name: vx${i}, type: vxlan, vni: ${firstVni + i}, local: ${local}, remotes: [${remote}], addresses: [${address}] }\n`;
}

describe(`${count} VNIs on one port`, () => {
  it(
    "all work, are all reported, and are all gone at the end",
    async () => {
      const [a, b] = bed.hosts as [(typeof bed.hosts)[0], (typeof bed.hosts)[0]];
      const lines = Array.from({ length: count }, (_, i) =>
        tunnelLine(i, a.underlayIp, b.underlayIp, 1),
      );
      const daemon = await bed.start(a.host, `tunnels:\n${lines.join("")}`);
      // Not by the command line: what the test keeps of a command's output would not hold this.
      const control = createControlClient({ socketPath: daemon.socket });
      const probes = [0, 1, count >> 1, count - 1];
      // The peer has one VNI more than we do.
      const peers = [...probes, count].map((i) => tunnelLine(i, b.underlayIp, a.underlayIp, 2));
      await bed.start(b.host, `tunnels:\n${peers.join("")}`);
      for (const i of probes) await expectReachable(a.host, `10.${100 + (i >> 8)}.${i & 255}.2`);
      b.host.run(
        "sh",
        "-c",
        `ping -c 3 -i 0.2 -W 1 10.${100 + (count >> 8)}.${count & 255}.1 || true`,
      );
      await eventually(async () => {
        const { drops } = await control.counters();
        expect(drops.find(({ reason }) => reason === "unknown-vni")?.count).toBeGreaterThan(0);
      });
      const { tunnels } = await control.counters();
      expect(tunnels).toHaveLength(count);
      const heard = tunnels.filter(({ ingress }) => ingress.packets > 0);
      expect(heard.map(({ name }) => name)).toEqual(probes.map((i) => `vx${i}`));
      const status = await culvertJson<{ tunnels: { up: boolean; addresses: string[] }[] }>(
        daemon,
        "status",
      );
      expect(status.tunnels.filter(({ up }) => up)).toHaveLength(count);
      expect(status.tunnels.every(({ addresses }) => addresses.length === 1)).toBe(true);
      if (process.env.CULVERT_VNIS !== undefined) {
        const before_s = processCpu_s(daemon.pid);
        await sleep(idle_ms);
        const idle = ((processCpu_s(daemon.pid) - before_s) / idle_ms) * 100_000;
        const rss_mib = Math.round(residentMemory_bytes(daemon.pid) / 2 ** 20);
        console.log(
          `${count} VNIs: ready after ${Math.round(daemon.ready_ms)} ms, ${rss_mib} MiB resident, idle ${idle.toFixed(1)} % CPU`,
        );
      }
      const stopped_ms = performance.now();
      const { status: code } = await daemon.child.stop("SIGTERM", stopPatience_ms);
      expect(code).toBe(0);
      if (process.env.CULVERT_VNIS !== undefined) {
        console.log(`stopped after ${Math.round(performance.now() - stopped_ms)} ms`);
      }
      expect(devicesOf(a.host)).toEqual(["eth0", "lo"]);
    },
    count * 100 + 120_000,
  );

  it("says which limit is too small when descriptors do not suffice", async () => {
    const [a, b] = bed.hosts as [(typeof bed.hosts)[0], (typeof bed.hosts)[0]];
    const lines = Array.from({ length: 300 }, (_, i) =>
      tunnelLine(i, a.underlayIp, b.underlayIp, 1),
    );
    const prefix = ["prlimit", "--nofile=700", "--"];
    const early = await culvertEnds(bed, a.host, `workers: 2\ntunnels:\n${lines.join("")}`, {
      prefix,
    });
    expect(early.status).toBe(1);
    expect(early.stderr).toContain("need 1112 open files: the limit on open files, RLIMIT_NOFILE");
    const late = await culvertEnds(bed, a.host, `workers: 1\ntunnels:\n${lines.join("")}`, {
      prefix: ["prlimit", "--nofile=256", "--"],
    });
    expect(late.status).toBe(1);
    expect(late.stderr).toMatch(/EMFILE: the limit on open files, RLIMIT_NOFILE, is 256/);
    expect(devicesOf(a.host)).toEqual(["eth0", "lo"]);
  });
});
