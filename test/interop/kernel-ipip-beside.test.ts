// culvert beside the kernel's own IP tunnels: it runs inside the guest, where tunnel4, ipip and sit
// are loaded, against culvert on the left host. What happens to packets then is what
// src/doctor/kernel-tunnels.ts warns of: taken twice by a device that matches, answered by ICMP
// port unreachable when none does. The log and `culvert status` say so.

import { beforeEach, describe, expect, it } from "vitest";
import type { Notice, StatusReport } from "../../src/control/target.js";
import { Capture, eventually, ipipConfig } from "../netns/support.js";
import { expectReachable } from "../netns/traffic.js";
import { culvertCommand, culvertInitramfs, culvertMemory_mib } from "./guest/culvert-files.js";
import { useGuest } from "./guest/use-guest.js";

const bed = useGuest({
  memory_mib: culvertMemory_mib,
  initramfs: culvertInitramfs,
  needs: {
    commands: [
      ["tcpdump", "--version"],
      ["tshark", "--version"],
    ],
  },
});

const pings = 3;
/** Node.js starts in seconds where the processor is emulated. */
const startTimeout_ms = 60_000;

/** Ends culvert in the guest, if it runs, starts it anew and returns its log so far. */
function startInGuest(): Promise<string> {
  const { left, right } = bed.hosts;
  const config = `control: { socket: /tmp/culvert.sock }\n${ipipConfig(right, left)}`;
  return bed.guest.shell(
    `[ -e /tmp/pid ] && kill $(cat /tmp/pid)
while [ -e /sys/class/net/ipip0 ]; do sleep 0.1; done
rm -f /tmp/culvert.sock
cat > /tmp/culvert.yaml <<'END'
${config}END
${culvertCommand} run --config /tmp/culvert.yaml > /tmp/log 2>&1 < /dev/null &
echo $! > /tmp/pid
while [ ! -e /tmp/culvert.sock ] && [ -e /proc/$(cat /tmp/pid) ]; do sleep 0.2; done
cat /tmp/log`,
    startTimeout_ms,
  );
}

async function notices(): Promise<Notice[]> {
  const command = `${culvertCommand} status -j --socket /tmp/culvert.sock`;
  const report = JSON.parse(await bed.guest.shell(command, startTimeout_ms)) as StatusReport;
  return report.tunnels[0]!.notices ?? [];
}

/** Pings from the left; how many echo replies and port unreachables came out of the guest. */
async function answers(): Promise<{ replies: number; unreachable: number; received: string }> {
  const { left, right } = bed.hosts;
  const filter = `src ${right.underlayIp} and (ip proto 4 or icmp)`;
  const capture = await Capture.start(bed.cleanup, left.host, "eth0", filter);
  // Apart by more than what limits ICMP errors to one host (net.ipv4.icmp_ratelimit).
  const words = ["ping", "-n", "-c", String(pings), "-i", "1.1", "-W", "2", right.overlayIp];
  const { stdout } = await left.host.spawn(words).wait(20_000);
  const counts = () => ({
    replies: capture.rows("icmp.type == 0", ["ip.len"]).length,
    unreachable: capture.rows("icmp.type == 3 and icmp.code == 3", ["ip.len"]).length,
  });
  await eventually(() => expect(counts().replies).toBeGreaterThanOrEqual(pings));
  await capture.stop();
  return { ...counts(), received: /(\d+) received/.exec(stdout)?.[1] ?? "none" };
}

const moduleNotice = {
  what: "the kernel's module tunnel4 is loaded, and no device of its own has this tunnel's addresses",
  consequence: "packets that arrive are answered with ICMP port unreachable all the same",
  cure: "if nothing else needs them: rmmod ipip sit tunnel4",
};

const deviceNotice = (device: string, ends: string): Notice => ({
  what: `the kernel's ${device} (${ends}) is up`,
  consequence: "it takes this tunnel's packets too, so the host has them twice",
  cure: `ip link set ${device.split(" ").at(-1)} down`,
});

const alone = { replies: pings, unreachable: 0, received: String(pings) };
const twice = { ...alone, replies: 2 * pings };
const answered = { ...alone, unreachable: pings };

describe("beside the kernel's tunnels", () => {
  beforeEach(async () => {
    const { left, right } = bed.hosts;
    await bed.start(ipipConfig(left, right));
    const running = "[ -e /tmp/pid ] && [ -e /proc/$(cat /tmp/pid) ] && echo yes";
    if (!(await bed.guest.shell(`${running}; true`)).includes("yes")) await startInGuest();
    await expectReachable(left.host, right.overlayIp);
  }, startTimeout_ms);

  it("is told of tunnel4, which answers what culvert takes; traffic goes on", async () => {
    expect(await answers()).toEqual(answered);
    expect(await notices()).toEqual([moduleNotice]);
    const status = await bed.guest.shell(`${culvertCommand} status --socket /tmp/culvert.sock`);
    expect(status).toContain(`notice    ${moduleNotice.what}: ${moduleNotice.consequence}`);
    expect(status).toContain(`cure      ${moduleNotice.cure}`);
  });

  const devices: [string, string, string, Notice[], typeof alone][] = [
    [
      "tunl0",
      "ip link set tunl0 up",
      "ip link set tunl0 down",
      [deviceNotice("ipip device tunl0", "remote any local any")],
      twice,
    ],
    [
      "an ipip device with the same ends",
      "ip tunnel add peer1 mode ipip local 10.57.4.21 remote 10.57.4.20; ip link set peer1 up",
      "ip link del peer1",
      [
        deviceNotice("ipip device peer1", "remote 10.57.4.20 local 10.57.4.21"),
        // Packets of other peers have no device.
        moduleNotice,
      ],
      twice,
    ],
    [
      "an ipip device with other ends",
      "ip tunnel add peer1 mode ipip local 10.57.4.99 remote 10.57.4.20; ip link set peer1 up",
      "ip link del peer1",
      [moduleNotice],
      answered,
    ],
    [
      "a sit device of mode any",
      "ip link add peer1 type sit mode any local 10.57.4.21; ip link set peer1 up",
      "ip link del peer1",
      [deviceNotice("sit device peer1", "remote any local 10.57.4.21")],
      twice,
    ],
    ["sit0, which takes IPv6 only", "ip link set sit0 up", "ip link set sit0 down", [], alone],
  ];

  it.each(devices)("meets %s", async (_, make, remove, expected, effect) => {
    await bed.guest.shell(make);
    try {
      expect(await answers()).toEqual(effect);
      expect(await notices()).toEqual(expected);
    } finally {
      await bed.guest.shell(remove);
    }
  });

  it("logs at the start what it finds", async () => {
    await bed.guest.shell("ip link set tunl0 up");
    try {
      const { what, consequence, cure } = deviceNotice("ipip device tunl0", "remote any local any");
      const lines = (await startInGuest()).trim().split("\n");
      const warnings = lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 40);
      expect(warnings).toMatchObject([{ tunnel: "ipip0", cure, msg: `${what}: ${consequence}` }]);
    } finally {
      await bed.guest.shell("ip link set tunl0 down");
    }
  });

  it("is alone once the modules are gone", async () => {
    const modules = ["ipip", "sit", "tunnel4"];
    await bed.guest.shell(modules.map((module) => `rmmod ${module}`).join("; "));
    try {
      expect(await answers()).toEqual(alone);
      expect(await notices()).toEqual([]);
    } finally {
      const load = modules.toReversed().map((module) => `insmod /modules/${module}.ko`);
      await bed.guest.shell(load.join("; "));
    }
  });
});
