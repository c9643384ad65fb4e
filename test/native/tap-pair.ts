// Two bridged TAP devices in a namespace, served by fixtures/tap-pair.mjs: writes what a test gives
// into one and answers what comes out of the other. Needs root.

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO4, OFFLOAD_USO6 } from "#native";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { Namespace } from "../../src/testbed/namespace.js";
import { endProcessSync } from "../../src/testbed/process.js";
import type { Packet } from "./packets.js";

export const ALL_OFFLOADS =
  OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO4 | OFFLOAD_USO6;

export const isRoot = process.getuid?.() === 0;
export const needsRoot = "needs root for TAP devices in a network namespace";

export interface Exchange {
  /** Inner frames, each a run of its own. */
  readonly packets?: readonly Uint8Array[];
  /** Instead: one superpacket, segmented, sent over loopback and received. */
  readonly superpacket?: Packet & { readonly gsoType: number; readonly gsoSize: number };
  /** What `decapWriteBatch` may use; all unless given. */
  readonly inputOffloads?: number;
  /** What the other device takes; none unless given, so that the kernel finishes everything. */
  readonly outputOffloads?: number;
  /** RUN_GSO_SIZE of every run. */
  readonly gsoSizeHint?: number;
  readonly setCe?: boolean;
  /** Write to a descriptor that is not open. */
  readonly closed?: boolean;
}

export interface ReadFrame {
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

export interface Totals {
  readonly segments: number;
  readonly written: number;
  readonly bad: number;
  readonly malformed: number;
  readonly deviceErrors: number;
  readonly bytes: number;
  readonly writes: number;
}

export interface Answer {
  readonly rows: number;
  readonly totals: Totals;
  readonly frames: ReadFrame[];
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

export const fixturePath = (name: string): string =>
  fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

export class TapPair {
  readonly #cleanup = new Cleanup();
  #child!: ChildProcessWithoutNullStreams;
  #lines!: Interface;
  #answer: (line: string) => void = () => {};
  #failed: (error: Error) => void = () => {};
  #stderr = "";
  #ended: Error | undefined;

  /** Makes namespace and devices, unless not root; call from beforeAll. */
  async createAsRoot(label: string): Promise<void> {
    if (!isRoot) return;
    const namespace = Namespace.create(this.#cleanup, label);
    const fixture = fixturePath("tap-pair.mjs");
    this.#child = spawn("ip", ["netns", "exec", namespace.name, process.execPath, fixture]);
    const pid = this.#child.pid!;
    this.#cleanup.defer("tap pair", () => endProcessSync(pid));
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    // A write to a fixture that has just ended fails on the pipe; the exit tells the cause.
    this.#child.stdin.on("error", () => {});
    this.#child.on("close", (status, signal) => {
      this.#ended = new Error(`fixture ended with ${signal ?? status}: ${this.#stderr}`);
      this.#failed(this.#ended);
    });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#lines.on("line", (line) => this.#answer(line));
    await this.#nextLine();
  }

  /** Removes everything; call from afterAll. */
  remove(): void {
    this.#failed = () => {};
    this.#cleanup.run();
  }

  async exchange(request: Exchange): Promise<Answer> {
    const { superpacket } = request;
    const line = JSON.stringify({
      inputOffloads: ALL_OFFLOADS,
      outputOffloads: 0,
      ...request,
      packets: request.packets?.map(base64),
      superpacket: superpacket && { ...superpacket, bytes: base64(superpacket.bytes) },
    });
    const answered = this.#nextLine();
    this.#child.stdin.write(`${line}\n`);
    const answer = JSON.parse(await answered) as { error?: string } & Omit<Answer, "frames"> & {
        frames: (Omit<ReadFrame, "bytes"> & { bytes: string })[];
      };
    if (answer.error !== undefined) throw new Error(answer.error);
    const frames = answer.frames.map((frame) => ({
      ...frame,
      bytes: new Uint8Array(Buffer.from(frame.bytes, "base64")),
    }));
    return { ...answer, frames };
  }

  #nextLine(): Promise<string> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#answer = resolve;
      this.#failed = reject;
    });
  }
}
