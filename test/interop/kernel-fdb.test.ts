// `culvert fdb` and `culvert neigh` beside `bridge fdb` and `ip neigh` on the kernel's vxlan
// device: the same commands one after the other, the same refusals, the same lines and objects
// after each. And that a hundred thousand entries can be loaded, listed and removed.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type Daemon, temporaryFolder } from "../../src/testbed/daemon.js";
import { Namespace } from "../../src/testbed/namespace.js";
import { culvertEntry } from "../../src/testbed/project.js";
import { culvert, silenceIpv6, useBed } from "../netns/support.js";

const CULVERT = "vx0";
const KERNEL = "vx1";
const LOCAL = "10.57.4.20";
const [B, C, D] = ["10.57.4.21", "10.57.4.22", "10.57.4.23"];
const ZERO = "00:00:00:00:00:00";
const GROUP = "01:00:5e:01:02:03";
const MAC = "02:00:00:00:00:0b";
const OTHER = "02:00:00:00:00:0c";

/** Two namespaces, so that both devices may have the same name, address and port. */
const bed = useBed([], (cleanup) => {
  const [ours, kernels] = ["fdb-culvert", "fdb-kernel"].map((label) => {
    const namespace = Namespace.create(cleanup, label);
    silenceIpv6(namespace);
    namespace.ip("addr", "add", `${LOCAL}/24`, "dev", "lo");
    return namespace;
  });
  return { ours: ours!, kernels: kernels!, folder: temporaryFolder(cleanup, "fdb") };
});

const config = (maxEntries: number) => `tunnels:
  - { name: ${CULVERT}, type: vxlan, vni: 100, local: ${LOCAL}, mtu: 1400, max_entries: ${maxEntries},
      allow: any, addresses: [10.99.0.1/24] }
`;

let kernels: Namespace;
beforeAll(() => {
  if (process.getuid?.() === 0) kernels = bed.hosts.kernels;
});

interface Answer {
  status: number | null;
  stdout: string;
}

/** A fresh kernel device. */
function addKernelDevice(maxEntries: number): void {
  spawnSync("ip", ["-n", kernels.name, "link", "del", KERNEL]);
  kernels.ip(
    ...["link", "add", KERNEL, "type", "vxlan", "id", "100", "local", LOCAL, "dstport", "4789"],
    ...["maxaddress", String(maxEntries), "nolearning"],
  );
  kernels.ip("addr", "add", "10.99.0.1/24", "dev", KERNEL);
  kernels.ip("link", "set", KERNEL, "up");
}

/** iproute2's program for the object: `fdb` is bridge's, `neigh` is ip's. */
function iproute(words: string): Answer {
  const program = words.replace(/^-\w+ /, "").startsWith("fdb") ? "bridge" : "ip";
  const argv = ["netns", "exec", kernels.name, program, ...words.split(" ")];
  const { status, stdout } = spawnSync("ip", argv, { encoding: "utf8" });
  return { status, stdout };
}

async function ask(daemon: Daemon, words: string): Promise<Answer> {
  const { status, stdout } = await daemon.culvert(...words.split(" "));
  return { status, stdout };
}

/** Lines in one order; entries have none of their own. Device names aside. */
const sorted = (text: string): string[] => text.replaceAll(KERNEL, CULVERT).split("\n").sort();

const objects = (text: string): string[] =>
  (JSON.parse(text.replaceAll(KERNEL, CULVERT)) as object[])
    .map((object) => JSON.stringify(object))
    .sort();

/** Runs each command on both; after each both have to say and show the same. */
async function expectSame(daemon: Daemon, object: "fdb" | "neigh", commands: readonly string[]) {
  for (const command of commands) {
    const words = `${object} ${command}`;
    const expected = iproute(words.replaceAll("DEV", KERNEL));
    const got = await ask(daemon, words.replaceAll("DEV", CULVERT));
    const told = (status: number | null) => (status === 0 ? "done" : "refused");
    expect(`${command}: ${told(got.status)}`).toBe(`${command}: ${told(expected.status)}`);
    for (const show of object === "fdb" ? ["show"] : ["show dev DEV", "show nud noarp"]) {
      const line = `${object} ${show}`;
      const kernel = iproute(line.replaceAll("DEV", KERNEL)).stdout;
      const ours = (await ask(daemon, line.replaceAll("DEV", CULVERT))).stdout;
      const mine = sorted(kernel).filter((entry) => !/33:33:|01:00:5e:00:/.test(entry));
      expect({ after: command, show, lines: sorted(ours) }).toEqual({
        ...{ after: command, show, lines: mine },
      });
    }
  }
}

describe("culvert beside the kernel's device", () => {
  it("takes and refuses the same changes of the FDB, and shows the same", async () => {
    addKernelDevice(8);
    const daemon = await bed.start(bed.hosts.ours, config(8));
    await expectSame(daemon, "fdb", [
      `add ${MAC} dev DEV dst ${B}`,
      `add ${MAC} dev DEV dst ${B}`,
      `add ${MAC} dev DEV dst ${C}`,
      `replace ${MAC} dev DEV dst ${C} port 8472`,
      `replace ${MAC} dev DEV dst ${C} static router`,
      `replace ${MAC} dev DEV dst ${D} extern_learn`,
      `replace ${OTHER} dev DEV dst ${D} vni 7 dynamic extern_learn`,
      `replace ${OTHER} dev DEV dst ${D} vni 0`,
      `del ${MAC} dev DEV dst ${B}`,
      `del ${MAC} dev DEV dst ${D} port 1`,
      `del ${MAC} dev DEV dst ${D}`,
      `del ${MAC} dev DEV`,
      `replace ${ZERO} dev DEV dst ${B}`,
      `append ${ZERO} dev DEV dst ${B}`,
      `add ${ZERO} dev DEV dst ${C}`,
      `append ${ZERO} dev DEV dst ${B}`,
      `append ${ZERO} dev DEV dst ${C} static`,
      `append ${ZERO} dev DEV dst ${C} port 8472`,
      `append ${ZERO} dev DEV dst ${C} vni 7`,
      `append ${ZERO} dev DEV dst ${C} vni 7 port 8472 dynamic router`,
      // The kernel sets state and flags of a list before it refuses to replace one; culvert changes
      // nothing when it refuses. So both are made what the refused change says.
      `append ${ZERO} dev DEV dst ${B}`,
      `replace ${ZERO} dev DEV dst ${D}`,
      `del ${ZERO} dev DEV dst ${C}`,
      `del ${ZERO} dev DEV dst ${C}`,
      `del ${ZERO} dev DEV dst ${C} vni 7 port 8472`,
      `add ${GROUP} dev DEV dst ${B}`,
      `append ${GROUP} dev DEV dst ${C}`,
      `append ff:ff:ff:ff:ff:ff dev DEV dst ${C}`,
      `replace ${GROUP} dev DEV dst ${D}`,
      `del ${GROUP} dev DEV dst ${B}`,
      `del ${GROUP} dev DEV dst ${C}`,
      `del ${ZERO} dev DEV`,
      `append ${ZERO} dev DEV dst ${D}`,
      `add ${MAC} dev DEV dst ${B} local`,
      `add 02:00:00:00:01:01 dev DEV dst ${B} static`,
      `add 02:00:00:00:01:02 dev DEV dst ${B} dynamic static`,
      `add 02:00:00:00:01:03 dev DEV dst ${B} use`,
      `add 02:00:00:00:01:04 dev DEV dst ${B} self permanent`,
      `add 02:00:00:00:01:05 dev DEV dst ${B}`,
      `append ${GROUP} dev DEV dst ${B}`,
      `append ${ZERO} dev DEV dst ${C}`,
      `add 02:00:00:00:01:06 dev DEV dst fd00::1`,
      `add 02:00:00:00:01:06 dev DEV`,
      "flush dev DEV static",
      "flush dev DEV dynamic",
      `add 02:00:00:00:01:01 dev DEV dst ${B} static`,
      `add 02:00:00:00:01:02 dev DEV dst ${B} dynamic extern_learn`,
      "flush dev DEV extern_learn nopermanent",
      "flush dev DEV nostatic",
      "flush dev DEV permanent",
      "flush dev DEV nodynamic",
      "flush dev DEV",
    ]);
  });

  it("shows the same objects and statistics", async () => {
    addKernelDevice(64);
    const daemon = await bed.start(bed.hosts.ours, config(64));
    const changes = [
      `append ${ZERO} dev DEV dst ${B}`,
      `append ${ZERO} dev DEV dst ${C} port 8472 vni 7`,
      `append ${GROUP} dev DEV dst ${C} static`,
      `add ${MAC} dev DEV dst ${B} dynamic router`,
      `add ${OTHER} dev DEV dst ${B} static router extern_learn`,
    ];
    for (const change of changes) {
      expect(iproute(`fdb ${change}`.replace("DEV", KERNEL)).status).toBe(0);
      expect((await ask(daemon, `fdb ${change}`.replace("DEV", CULVERT))).status).toBe(0);
    }
    for (const show of ["fdb show dev DEV", "fdb show"]) {
      const kernel = iproute(`-j ${show.replace("DEV", KERNEL)}`).stdout;
      const ours = (await ask(daemon, `-j ${show.replace("DEV", CULVERT)}`)).stdout;
      expect(objects(ours)).toEqual(objects(kernel));
    }
    const withoutTimes = (text: string) => sorted(text.replaceAll(/used \d+\/\d+/g, "used N/N"));
    const kernel = iproute(`-s fdb show dev ${KERNEL}`).stdout;
    const ours = (await ask(daemon, `fdb show dev ${CULVERT} -s`)).stdout;
    expect(withoutTimes(ours)).toEqual(withoutTimes(kernel));
    for (const state of ["permanent", "static"]) {
      const chosen = iproute(`fdb show dev ${KERNEL} state ${state}`).stdout;
      const same = (await ask(daemon, `fdb show dev ${CULVERT} state ${state}`)).stdout;
      expect(sorted(same)).toEqual(sorted(chosen));
    }
    const aged = iproute(`fdb show dev ${KERNEL} dynamic`).stdout;
    expect(sorted((await ask(daemon, `fdb show dev ${CULVERT} dynamic`)).stdout)).toEqual(
      sorted(aged),
    );
  });

  it("takes and refuses the same changes of neighbours, and shows the same", async () => {
    addKernelDevice(64);
    const daemon = await bed.start(bed.hosts.ours, config(64));
    await expectSame(daemon, "neigh", [
      `add 10.99.0.5 lladdr ${MAC} dev DEV`,
      `add 10.99.0.5 lladdr ${MAC} dev DEV`,
      `replace 10.99.0.5 lladdr ${OTHER} dev DEV router`,
      `add 10.99.0.6 lladdr ${MAC} dev DEV nud noarp`,
      `add 10.99.0.7 lladdr ${MAC} nud permanent router dev DEV`,
      `replace 10.99.0.7 lladdr ${MAC} dev DEV`,
      "add 10.99.0.8 dev DEV",
      "del 10.99.0.9 dev DEV",
      "flush dev DEV",
      "del 10.99.0.5 dev DEV",
      "flush dev DEV nud noarp",
      "flush dev DEV nud permanent",
    ]);
    const add = `neigh add 10.99.0.5 lladdr ${MAC} dev DEV router`;
    expect(iproute(add.replace("DEV", KERNEL)).status).toBe(0);
    expect((await ask(daemon, add.replace("DEV", CULVERT))).status).toBe(0);
    for (const show of ["neigh show dev DEV", "neigh show"]) {
      const kernel = iproute(`-j ${show.replace("DEV", KERNEL)}`).stdout;
      expect(objects((await ask(daemon, `-j ${show.replace("DEV", CULVERT)}`)).stdout)).toEqual(
        objects(kernel),
      );
    }
    // And on the daemon's own device, as the host sees it.
    expect(bed.hosts.ours.ip("neigh", "show", "dev", CULVERT).trim()).toBe(
      `10.99.0.5 lladdr ${MAC} router PERMANENT`,
    );
  });
});

describe("a batch", () => {
  it("loads, lists, moves and removes 100,000 entries", async () => {
    const count = 100_000;
    const daemon = await bed.start(bed.hosts.ours, config(count + 1));
    const file = join(bed.hosts.folder, "batch");
    const hex = (byte: number) => (byte & 0xff).toString(16).padStart(2, "0");
    const mac = (n: number) => `02:00:00:${hex(n >> 16)}:${hex(n >> 8)}:${hex(n)}`;
    const dst = (n: number) => `10.57.${5 + (n % 40)}.${1 + (n % 200)}`;
    const batch = async (line: (n: number) => string): Promise<void> => {
      writeFileSync(file, Array.from({ length: count }, (_, n) => line(n)).join("\n"));
      expect(await culvert(daemon, `fdb -b ${file}`)).toBe("");
    };
    await batch((n) => `fdb add ${mac(n)} dev ${CULVERT} dst ${dst(n)}`);
    // Some 8 MB: more than what is kept of a program's output elsewhere.
    const argv = [culvertEntry(), "--socket", daemon.socket, "-j", "fdb", "show"];
    const options = { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 } as const;
    const { stdout } = spawnSync(process.execPath, argv, options);
    const shown = JSON.parse(stdout) as { mac: string; dst: string }[];
    expect(new Map(shown.map((entry) => [entry.mac, entry.dst]))).toEqual(
      new Map(Array.from({ length: count }, (_, n) => [mac(n), dst(n)])),
    );
    const again = await daemon.culvert("fdb", "-b", file);
    expect(again.status).toBe(1);
    expect(again.stderr).toContain(`Command failed ${file}:1\n`);
    await batch((n) => `replace ${mac(n)} dev ${CULVERT} dst ${dst(0)} dynamic`);
    expect(await culvert(daemon, `fdb show ${mac(77)} dev ${CULVERT}`)).toBe(
      `${mac(77)} dst ${dst(0)} self \n`,
    );
    await batch((n) => `del ${mac(n)} dev ${CULVERT}`);
    expect(await culvert(daemon, "fdb show")).toBe("");
  });
});
