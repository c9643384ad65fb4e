// How a rule becomes tests: a group has options, the VTEP is started with them once per subject
// (the kernel's device, culvert), and each rule of the group observes something and says what has
// to be observed. Where culvert differs on purpose, the rule says why, and its name shows it.
//
// Nothing waits for silence: behind what was sent a marker follows on the same way, and what did
// not arrive before the marker was dropped.

import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { CulvertVtep } from "./culvert-vtep.js";
import { KernelVtep } from "./kernel-vtep.js";
import { device, markerMac, markerSourceMac, type Vtep, type VtepOptions } from "./vtep.js";
import { type Datagram, type InnerFrame, Wire } from "./wire.js";

const markerTimeout_ms = 5_000;
const hostMac = "02:00:00:00:57:20";
const wireMac = "02:00:00:00:57:21";
/** Remote VTEPs 10.57.4.21 ... .29 and fd57::21 ... ::29; markers use the last. */
const remotes = Array.from({ length: 9 }, (_, i) => 21 + i);

/** Underlay addresses of remote VTEPs. */
export const R1 = "10.57.4.21";
export const R2 = "10.57.4.22";
export const R3 = "10.57.4.23";
export const S1 = "fd57::21";
export const S2 = "fd57::22";

/** What a rule may do with the VTEP under test. */
export class Scene {
  readonly vtep: Vtep;
  readonly host: Namespace;
  readonly wire: Wire;
  readonly options: VtepOptions;
  static #markers = 0;

  constructor(vtep: Vtep, host: Namespace, wire: Wire, options: VtepOptions) {
    this.vtep = vtep;
    this.host = host;
    this.wire = wire;
    this.options = options;
  }

  /** Sends frames through the device. @returns the datagrams that left for the underlay */
  async egress(...frames: readonly string[]): Promise<Datagram[]> {
    await this.wire.send("overlay", frames);
    return this.left();
  }

  /** @returns the datagrams that left for the underlay until now */
  async left(): Promise<Datagram[]> {
    const first = await this.#egressMarker();
    return [...first, ...(await this.#egressMarker())].filter(
      (datagram) => datagram.fragment === true || datagram.inner.dst !== markerMac,
    );
  }

  /** Datagrams arrive from the underlay. @returns the frames that came out of the device */
  async ingress(...datagrams: readonly string[]): Promise<InnerFrame[]> {
    await this.wire.send("wire", datagrams);
    const marker = Scene.#mark();
    const more = this.options.marker === undefined ? "" : `, ${this.options.marker}`;
    const source = this.options.family === 6 ? "fd57::29" : "10.57.4.29";
    const inner = `frame(src="${markerSourceMac}", text="${marker}")`;
    await this.wire.send("wire", [`vx(${inner}, src="${source}"${more})`]);
    const { frames, found } = await this.wire.take("overlay", marker, markerTimeout_ms);
    expect(found, "the marker behind the datagrams arrives").toBe(true);
    return frames;
  }

  /** Sends frames through the device. @returns what came back out of it, and what left */
  async ask(...frames: readonly string[]): Promise<{ back: InnerFrame[]; out: Datagram[] }> {
    const out = await this.egress(...frames);
    return { back: await this.ingress(), out };
  }

  /** Forgets what arrived so far. */
  async quiet(): Promise<void> {
    await this.wire.take("wire", "", 0);
    await this.wire.take("overlay", "", 0);
  }

  static #mark(): string {
    return `marker ${Scene.#markers++} `;
  }

  /**
   * A marker through the device; it arrives after what was sent before it. Twice is safe also where
   * one batch leaves in another order.
   */
  async #egressMarker(): Promise<Datagram[]> {
    const marker = Scene.#mark();
    await this.wire.send("overlay", [`frame(dst="${markerMac}", text="${marker}")`]);
    const { frames, found } = await this.wire.take("wire", marker, markerTimeout_ms);
    expect(found, "the marker behind the frames leaves").toBe(true);
    return frames;
  }
}

type Body = (scene: Scene) => Promise<unknown>;

interface Case {
  name: string;
  expected: unknown;
  body: Body;
}

interface Difference {
  kernel: unknown;
  culvert: unknown;
  /** Why culvert does it its own way; stands in the test's name. */
  why: string;
}

export interface Rules {
  /** Both subjects have to show `expected`. */
  same(name: string, expected: unknown, body: Body): void;
  /** culvert differs on purpose. */
  differs(name: string, expected: Difference, body: Body): void;
  /** The kernel has nothing like it. */
  culvertOnly(name: string, expected: unknown, body: Body): void;
}

/** Why the suite cannot run here; undefined when it can. */
function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root for network namespaces and tunnel devices";
  const { status } = spawnSync("/usr/bin/python3", ["-c", "import scapy"], { stdio: "ignore" });
  return status === 0 ? undefined : "needs scapy: npm run setup -- --for=test";
}

function addUnderlay(host: Namespace, wire: Namespace): void {
  for (const namespace of [host, wire]) {
    namespace.sysctl("net.ipv6.conf.default.disable_ipv6", 1);
  }
  addVeth({ namespace: host, device: "eth0" }, { namespace: wire, device: "eth0" });
  host.ip("link", "set", "eth0", "address", hostMac);
  wire.ip("link", "set", "eth0", "address", wireMac, "arp", "off");
  // Checksums are computed before packets leave, so that what is captured is what would be sent.
  host.setOffloads("eth0", { tx: false });
  host.ip("link", "set", "eth0", "addrgenmode", "none");
  host.sysctl("net.ipv6.conf.eth0.accept_ra", 0);
  host.sysctl("net.ipv6.conf.eth0.disable_ipv6", 0);
  host.ip("addr", "add", "10.57.4.20/24", "dev", "eth0");
  host.ip("addr", "add", "fd57::20/64", "dev", "eth0", "nodad");
  for (const n of remotes) {
    for (const address of [`10.57.4.${n}`, `fd57::${n}`]) {
      host.ip("neigh", "add", address, "lladdr", wireMac, "dev", "eth0", "nud", "permanent");
    }
  }
}

/** The topology of one test file. */
export class Lab {
  readonly cleanup = new Cleanup();
  #host: Namespace | undefined;
  #wire: Wire | undefined;
  readonly reason = obstacle();

  async build(): Promise<void> {
    if (this.reason !== undefined) return;
    this.#host = Namespace.create(this.cleanup, "host");
    const other = Namespace.create(this.cleanup, "wire");
    addUnderlay(this.#host, other);
    this.#wire = await Wire.start(this.cleanup);
    await this.#wire.open("wire", other, "eth0");
  }

  async start(subject: Vtep["name"], options: VtepOptions): Promise<Scene> {
    const host = this.#host!;
    const vtep = subject === "kernel" ? new KernelVtep(host) : new CulvertVtep(host, this.cleanup);
    await vtep.start(options);
    await this.#wire!.open("overlay", host, device);
    if (options.gbp !== undefined) await this.#wire!.mark("overlay", options.gbp);
    const scene = new Scene(vtep, host, this.#wire!, options);
    await scene.quiet();
    return scene;
  }

  async stop(scene: Scene): Promise<void> {
    await this.#wire!.close("overlay");
    await scene.vtep.stop();
  }

  /** Rules for a VTEP with these options, against both subjects. */
  group(title: string, options: VtepOptions, define: (rules: Rules) => void): void {
    for (const subject of ["kernel", "culvert"] as const) {
      const cases = casesOf(subject, define);
      if (cases.length === 0) continue;
      describe(`${subject}: ${title}`, () => {
        let scene: Scene | undefined;
        beforeAll(async () => {
          if (this.reason === undefined) scene = await this.start(subject, options);
        });
        afterAll(async () => {
          if (scene !== undefined) await this.stop(scene);
        });
        for (const { name, expected, body } of cases) {
          it(name, async () => {
            await scene!.quiet();
            expect(await body(scene!)).toEqual(expected);
          });
        }
      });
    }
  }
}

/** The rules of a group as tests of one subject. */
function casesOf(subject: Vtep["name"], define: (rules: Rules) => void): Case[] {
  const cases: Case[] = [];
  define({
    same: (name, expected, body) => cases.push({ name, expected, body }),
    differs: (name, difference, body) => {
      const shown = `${name} [differs: ${difference.why}]`;
      cases.push({ name: shown, expected: difference[subject], body });
    },
    culvertOnly: (name, expected, body) => {
      if (subject === "culvert") cases.push({ name: `${name} [culvert only]`, expected, body });
    },
  });
  return cases;
}

/** The lab of a test file, with its hooks. */
export function useLab(): Lab {
  const lab = new Lab();
  beforeEach((context) => context.skip(lab.reason !== undefined, lab.reason));
  beforeAll(() => lab.build());
  afterAll(() => lab.cleanup.run());
  return lab;
}
