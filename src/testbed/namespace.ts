// Network namespaces and the veth pairs between them, made by ip(8). Names begin with "cv<pid in
// base 36>-", so that runs side by side do not meet and what a killed run left behind can be told
// from what is in use. Devices are created inside the namespaces: the machine's own network is
// never touched.

import { readdirSync } from "node:fs";
import type { Cleanup } from "./cleanup.js";
import { TestbedError } from "./error.js";
import { Child, endProcessSync, isRunning, runSync } from "./process.js";

const namespaceFolder = "/run/netns";
const namePattern = /^cv([0-9a-z]+)-/;
/** Names that this process has in use, so that a second topology gets other ones. */
const liveNames = new Set<string>();

function freeName(label: string): string {
  const base = `cv${process.pid.toString(36)}-${label}`;
  let name = base;
  for (let n = 2; liveNames.has(name); n++) name = `${base}-${n}`;
  return name;
}

/** A network namespace that exists until its Cleanup runs. */
export class Namespace {
  readonly name: string;
  readonly #cleanup: Cleanup;

  private constructor(name: string, cleanup: Cleanup) {
    this.name = name;
    this.#cleanup = cleanup;
  }

  /**
   * Makes a namespace `cv<pid36>-<label>` with `lo` up. Throws TestbedError when not root or the
   * name is taken.
   */
  static create(cleanup: Cleanup, label: string): Namespace {
    if (process.getuid?.() !== 0) {
      throw new TestbedError("network namespaces need root", "run the same command with sudo");
    }
    const name = freeName(label);
    try {
      runSync(["ip", "netns", "add", name]);
    } catch (error) {
      if (!(error instanceof TestbedError) || !error.message.includes("File exists")) throw error;
      throw new TestbedError(
        `the network namespace ${name} exists already`,
        `it is left over from a killed run: ip netns del ${name}`,
      );
    }
    liveNames.add(name);
    cleanup.defer(`namespace ${name}`, () => {
      liveNames.delete(name);
      removeNamespace(name);
    });
    const namespace = new Namespace(name, cleanup);
    namespace.ip("link", "set", "lo", "up");
    return namespace;
  }

  /** `ip -n NAME ...`; returns its output. */
  ip(...args: string[]): string {
    return runSync(["ip", "-n", this.name, ...args]);
  }

  /** Runs a short command inside and returns its output. */
  run(...argv: string[]): string {
    return runSync(["ip", "netns", "exec", this.name, ...argv]);
  }

  /**
   * Starts a long-running command inside; its pid is that of the command itself, as `ip` execs it.
   */
  spawn(argv: readonly string[]): Child {
    return new Child(this.#cleanup, ["ip", "netns", "exec", this.name, ...argv]);
  }

  sysctl(key: string, value: string | number): void {
    this.run("sysctl", "-qw", `${key}=${value}`);
  }

  /**
   * Turns offloads of a device on or off: `{ tx: false, gro: true }` is `ethtool -K DEV tx off gro
   * on`.
   */
  setOffloads(device: string, settings: Readonly<Record<string, boolean>>): void {
    const words = Object.entries(settings).flatMap(([feature, on]) => [feature, on ? "on" : "off"]);
    if (words.length > 0) this.run("ethtool", "-K", device, ...words);
  }

  /**
   * Has GRO of a device wait for more packets to merge (Linux, Documentation/networking/napi.rst):
   * without it a veth, which has no interrupts to coalesce, merges next to nothing.
   */
  setCoalescing(device: string, flush_ns: number): void {
    const folder = `/sys/class/net/${device}`;
    this.run("sh", "-c", `echo ${flush_ns} > ${folder}/gro_flush_timeout`);
    this.run("sh", "-c", `echo 10 > ${folder}/napi_defer_hard_irqs`);
  }

  /** True when a device of that name exists inside. */
  hasDevice(device: string): boolean {
    const links = JSON.parse(this.ip("-j", "link", "show")) as { ifname: string }[];
    return links.some((link) => link.ifname === device);
  }
}

function removeNamespace(name: string): void {
  // A process that still runs inside would keep the namespace and its devices alive after its name
  // is gone.
  const pids = runSync(["ip", "netns", "pids", name]).split("\n").filter(Boolean).map(Number);
  for (const pid of pids) endProcessSync(pid);
  runSync(["ip", "netns", "del", name]);
}

export interface VethEnd {
  namespace: Namespace;
  /** Name of the device, at most 15 characters. */
  device: string;
}

/** Joins two namespaces by a veth pair, both ends up. */
export function addVeth(a: VethEnd, b: VethEnd, mtu_bytes = 1500): void {
  const mtu = String(mtu_bytes);
  a.namespace.ip(
    ...["link", "add", a.device, "mtu", mtu, "type", "veth"],
    ...["peer", "name", b.device, "mtu", mtu, "netns", b.namespace.name],
  );
  for (const end of [a, b]) end.namespace.ip("link", "set", end.device, "up");
}

/**
 * Namespaces of testbed runs whose process no longer exists (it was killed before it could clean
 * up).
 */
export function staleNamespaces(): string[] {
  let names: string[];
  try {
    names = readdirSync(namespaceFolder);
  } catch {
    return [];
  }
  return names.filter((name) => {
    const owner = namePattern.exec(name)?.[1];
    return owner !== undefined && !isRunning(Number.parseInt(owner, 36));
  });
}
