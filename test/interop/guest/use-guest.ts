// The set-up that tests against the guest's kernel share: two hosts whose right one is the guest,
// booted once per file; culvert daemons on the left one that end with the test; the devices that a
// test made in the guest. The reason why the guest cannot be had here skips every test.

import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { Cleanup } from "../../../src/testbed/cleanup.js";
import { Daemon } from "../../../src/testbed/daemon.js";
import { describeError } from "../../../src/testbed/error.js";
import {
  createTwoHosts,
  forgetPathMtus,
  type TwoHosts,
  type TwoHostsOptions,
} from "../../../src/testbed/two-hosts.js";
import { silenceIpv6 } from "../../netns/support.js";
import { type Needs, unmetNeeds } from "../support.js";
import { buildGuest, type GuestFiles, unmetGuestNeeds } from "./build-guest.js";
import { Guest, type GuestOptions } from "./guest.js";

let prepared: { files?: GuestFiles; unmet?: string } | undefined;

/** The guest's files, or why it cannot run here; found out once per process. */
export function prepareGuest(needs: Needs = {}): { files?: GuestFiles; unmet?: string } {
  const unmet = unmetNeeds(needs) ?? unmetGuestNeeds();
  if (unmet !== undefined) return { unmet };
  try {
    prepared ??= { files: buildGuest() };
  } catch (error) {
    prepared = { unmet: `the guest cannot be built here: ${describeError(error)}` };
  }
  return prepared;
}

export interface UseGuestOptions extends Omit<GuestOptions, "initramfs"> {
  /** Makes another initramfs than the usual one; it goes with `cleanup`. */
  initramfs?: (files: GuestFiles, cleanup: Cleanup) => string;
  needs?: Needs;
  hosts?: TwoHostsOptions;
  /** Is IPv6 wanted on the left host? Else it is silent: nothing but the test's packets. */
  ipv6?: boolean;
}

export class GuestBed {
  readonly cleanup = new Cleanup();
  /** Why there is no guest here. */
  unmet: string | undefined;
  readonly #options: UseGuestOptions;
  #hosts: TwoHosts | undefined;
  #guest: Guest | undefined;
  #daemons: Daemon[] = [];

  constructor(options: UseGuestOptions) {
    this.#options = options;
  }

  get hosts(): TwoHosts {
    return this.#hosts!;
  }

  get guest(): Guest {
    return this.#guest!;
  }

  async boot(files: GuestFiles): Promise<void> {
    const { hosts, ipv6 = false } = this.#options;
    this.#hosts = createTwoHosts(this.cleanup, hosts);
    const { left, right } = this.#hosts;
    if (!ipv6) silenceIpv6(left.host);
    const initramfs = this.#options.initramfs?.(files, this.cleanup) ?? files.initramfs;
    this.#guest = await Guest.boot(files, right, left.host, { ...this.#options, initramfs });
  }

  /** Starts culvert on the left host until the test ends; `config` begins after `control:`. */
  async start(config: string): Promise<Daemon> {
    const namespace = this.hosts.left.host;
    const daemon = await Daemon.start({ namespace, cleanup: this.cleanup, config });
    this.#daemons.push(daemon);
    return daemon;
  }

  /** Ends what a test started and removes the guest's devices `peer...` and learned path MTUs. */
  async reset(show: boolean): Promise<void> {
    const daemons = this.#daemons.splice(0);
    const bad: string[] = [];
    for (const daemon of daemons) {
      if (show) process.stderr.write(`${daemon.log.slice(-4000)}\n`);
      const { status, signal } = await daemon.stop();
      if (status !== 0) bad.push(`${signal ?? status}: ${daemon.log.slice(-2000)}`);
    }
    forgetPathMtus(this.hosts);
    const listed = "ip -o link | sed -n 's/^[0-9]*: \\(peer[0-9]*\\)@.*/\\1/p'";
    const flush = "ip route flush cache; ip -6 route flush cache";
    await this.guest.shell(`for d in $(${listed}); do ip link del $d; done; ${flush}`);
    expect(bad).toEqual([]);
  }
}

/** Sets the hooks of a test file with a guest; tests are skipped with the reason where it cannot be. */
export function useGuest(options: UseGuestOptions = {}): GuestBed {
  const bed = new GuestBed(options);
  beforeAll(async () => {
    const { files, unmet: reason } = prepareGuest(options.needs);
    bed.unmet = reason;
    if (files === undefined) return;
    try {
      await bed.boot(files);
    } catch (error) {
      bed.cleanup.run();
      throw error;
    }
  });
  beforeEach((context) => {
    if (bed.unmet !== undefined) context.skip(bed.unmet);
  });
  afterEach(async (context) => {
    if (bed.unmet === undefined) await bed.reset(context.task.result?.state === "fail");
  });
  afterAll(() => bed.cleanup.run());
  return bed;
}
