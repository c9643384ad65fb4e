// Debian's bird2 as a routing daemon in a namespace: the package is unpacked into build/debian/ and
// never installed, so no service of it is started anywhere. The configuration is that of
// docs/bgp.md: BGP's next hops are resolved in a table of their own, where every node is behind
// the tunnel device.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import { temporaryFolder } from "../../src/testbed/daemon.js";
import { describeError } from "../../src/testbed/error.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import type { Child } from "../../src/testbed/process.js";
import { unpackedPackage } from "./debian-packages.js";
import { waitForOutput } from "./support.js";

/** The daemon and the library of its package that few machines have. */
const packages = { bird2: /^bird2_/, "libssh-gcrypt-4": /^libssh-gcrypt-4_/ } as const;

export interface BirdFiles {
  bird: string;
  /** The client without readline. */
  birdcl: string;
  /** Where the unpacked library lies. */
  libraries: string;
}

/** The library folder of an unpacked package: usr/lib/ and the machine's triplet. */
function libraryFolder(root: string): string {
  const parent = join(root, "usr", "lib");
  const triplet = readdirSync(parent).find((name) => name.includes("-linux-"));
  return join(parent, triplet ?? "");
}

/** BIRD's files, or why it cannot be had here. */
export function prepareBird(): { files?: BirdFiles; unmet?: string } {
  try {
    const root = unpackedPackage("bird2", packages.bird2);
    const ssh = unpackedPackage("libssh-gcrypt-4", packages["libssh-gcrypt-4"]);
    const [bird, birdcl] = ["bird", "birdcl"].map((name) => join(root, "usr", "sbin", name));
    const libraries = libraryFolder(ssh);
    if (!existsSync(bird!) || !existsSync(birdcl!)) return { unmet: `${root} has no bird` };
    const env = { ...process.env, LD_LIBRARY_PATH: libraries };
    const { status, stderr } = spawnSync(bird!, ["--version"], { encoding: "utf8", env });
    if (status !== 0) return { unmet: `Debian's bird2 does not run here: ${stderr.trim()}` };
    return { files: { bird: bird!, birdcl: birdcl!, libraries } };
  } catch (error) {
    return { unmet: `Debian's bird2 cannot be had here: ${describeError(error)}` };
  }
}

export interface BirdNode {
  underlayIp: string;
  /** What it announces from the start. */
  podNetwork: string;
  /** What it announces while the protocol `service` is enabled, and how much it is preferred. */
  service?: { network: string; preference: number };
}

/** bird.conf of a node, in full mesh with `peers`. */
export function birdConfig(node: BirdNode, peers: readonly BirdNode[], device: string): string {
  const { underlayIp, podNetwork, service } = node;
  const hops = peers.map((p) => `  route ${p.underlayIp}/32 via ${p.underlayIp}%${device} onlink;`);
  const preference =
    service === undefined
      ? ""
      : `if net = ${service.network} then bgp_local_pref = ${service.preference}; `;
  const sessions = peers.map(
    (peer, i) => `protocol bgp node${i} {
  local ${underlayIp} as 64512;
  neighbor ${peer.underlayIp} as 64512;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  ipv4 {
    import all;
    export filter { if source != RTS_STATIC then reject; ${preference}accept; };
    next hop self;
    gateway recursive;
    igp table tunnels;
  };
}`,
  );
  const announced = service === undefined ? "" : announcement("service", service.network, true);
  return `log stderr all;
router id ${underlayIp};
ipv4 table tunnels;
protocol device { }
protocol static hops {
  ipv4 { table tunnels; };
${hops.join("\n")}
}
${announcement("pods", podNetwork, false)}${announced}protocol kernel {
  ipv4 { import none; export where source = RTS_BGP; };
}
${sessions.join("\n")}
`;
}

/** A prefix that BGP announces; it is not for the node's own kernel, which has better routes. */
const announcement = (name: string, network: string, disabled: boolean): string =>
  `protocol static ${name} {${disabled ? "\n  disabled;" : ""}
  ipv4;
  route ${network} blackhole;
}
`;

/** A running bird. */
export class Bird {
  readonly #namespace: Namespace;
  readonly #files: BirdFiles;
  readonly #socket: string;
  readonly #child: Child;

  private constructor(namespace: Namespace, files: BirdFiles, socket: string, child: Child) {
    this.#namespace = namespace;
    this.#files = files;
    this.#socket = socket;
    this.#child = child;
  }

  static async start(
    cleanup: Cleanup,
    namespace: Namespace,
    files: BirdFiles,
    config: string,
  ): Promise<Bird> {
    const folder = temporaryFolder(cleanup, "bird");
    const [file, socket, pid] = ["bird.conf", "bird.ctl", "bird.pid"].map((n) => join(folder, n));
    writeFileSync(file!, config);
    const child = namespace.spawn([
      ...["env", `LD_LIBRARY_PATH=${files.libraries}`, files.bird],
      ...["-f", "-c", file!, "-s", socket!, "-P", pid!],
    ]);
    await waitForOutput(child, "<INFO> Started");
    return new Bird(namespace, files, socket!, child);
  }

  /** A command in the words of birdc(8), which must succeed. */
  async command(words: string): Promise<void> {
    const argv = [this.#files.birdcl, "-s", this.#socket, ...words.split(" ")];
    const { status, stdout, stderr } = await this.#namespace.spawn(argv).wait(10_000);
    expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: "" });
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }
}
