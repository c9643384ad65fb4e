// The other side of the VTEP under test: one long-lived fixtures/wire.py with a socket on the
// underlay and one on the VTEP's own device. Sends and reads, knows no rule.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Cleanup } from "../../src/testbed/cleanup.js";
import { TestbedError } from "../../src/testbed/error.js";
import type { Namespace } from "../../src/testbed/namespace.js";
import { endProcessSync } from "../../src/testbed/process.js";

/** Debian's Python: the one that has scapy. */
const python = "/usr/bin/python3";
const fixture = join(dirname(fileURLToPath(import.meta.url)), "fixtures", "wire.py");

export type PortName = "wire" | "overlay";

export interface IpHeader {
  v: 4 | 6;
  src: string;
  dst: string;
  tos: number;
  ttl: number;
  df: boolean;
  /** IPv4 only. */
  more?: boolean;
  offset?: number;
  /** IPv6 flow label. */
  label?: number;
  bytes: number;
}

/** An overlay frame, told by scapy. */
export interface InnerFrame {
  hex: string;
  bytes: number;
  src: string;
  dst: string;
  type: number;
  vlan?: number;
  arp?: { op: number; smac: string; sip: string; tmac: string; tip: string };
  ip?: IpHeader;
  /** Of UDP and TCP; partial: the kernel knows that it is not finished yet. */
  l4?: "none" | "ok" | "bad" | "partial" | null;
  na?: { target: string; R: number; S: number; O: number; lladdr: string | null };
  icmp?: { type: number; code: number; mtu: number };
}

/** A VXLAN datagram on the underlay, or one fragment of a larger one. */
export interface Datagram {
  ip: IpHeader;
  fragment?: true;
  sport: number;
  dport: number;
  checksum: "none" | "ok" | "bad";
  flags: number;
  /** The three bytes after the flags. */
  reserved: string;
  vni: number;
  /** The byte after the VNI. */
  low: number;
  dmac: string;
  inner: InnerFrame;
}

interface Answer {
  ready?: true;
  error?: string;
  result?: unknown;
}

export class Wire {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #waiting: ((answer: Answer) => void)[] = [];
  #stderr = "";

  private constructor(cleanup: Cleanup) {
    this.#process = spawn("setpriv", ["--pdeathsig", "TERM", "--", python, "-u", fixture], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    const { pid } = this.#process;
    cleanup.defer("wire.py", () => {
      if (pid !== undefined) endProcessSync(pid);
    });
    this.#process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    createInterface({ input: this.#process.stdout }).on("line", (line) => {
      this.#waiting.shift()?.(JSON.parse(line) as Answer);
    });
    this.#process.once("close", () => {
      for (const settle of this.#waiting.splice(0)) settle({ error: `ended: ${this.#stderr}` });
    });
  }

  static async start(cleanup: Cleanup): Promise<Wire> {
    const wire = new Wire(cleanup);
    const { error } = await new Promise<Answer>((resolve) => wire.#waiting.push(resolve));
    if (error !== undefined) throw new TestbedError(`wire.py ${error}`);
    return wire;
  }

  async open(port: PortName, namespace: Namespace, device: string): Promise<void> {
    await this.#call({ op: "open", port, namespace: namespace.name, device });
  }

  async close(port: PortName): Promise<void> {
    await this.#call({ op: "close", port });
  }

  /** @param frames Python expressions, see fixtures/wire.py */
  async send(port: PortName, frames: readonly string[]): Promise<void> {
    await this.#call({ op: "send", port, frames });
  }

  /** The same with an L4 checksum that the device has to finish: `start` bytes in, at `offset`. */
  async sendPartial(
    port: PortName,
    frames: readonly string[],
    start: number,
    offset: number,
  ): Promise<void> {
    await this.#call({ op: "send", port, frames, partial: [start, offset] });
  }

  /** Gives what is sent from now on a mark (SO_MARK). */
  async mark(port: PortName, value: number): Promise<void> {
    await this.#call({ op: "mark", port, value });
  }

  /** What arrived until a frame that has the text `until` in it, or until time is up. */
  async take<P extends PortName>(
    port: P,
    until: string,
    timeout_ms: number,
  ): Promise<{ frames: (P extends "wire" ? Datagram : InnerFrame)[]; found: boolean }> {
    return (await this.#call({ op: "take", port, until, timeout_ms })) as {
      frames: (P extends "wire" ? Datagram : InnerFrame)[];
      found: boolean;
    };
  }

  async #call(command: object): Promise<unknown> {
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.push(resolve);
      this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    });
    if (answer.error !== undefined) throw new TestbedError(`wire.py: ${answer.error}`);
    return answer.result;
  }
}
