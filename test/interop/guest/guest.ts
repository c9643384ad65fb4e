// The emulated guest as a host of the testbed: it takes the place of a host's underlay address. The
// host becomes a bridge between its underlay device and the guest's TAP; qemu runs in the host's
// namespace.

import { TestbedError } from "../../../src/testbed/error.js";
import type { Namespace } from "../../../src/testbed/namespace.js";
import type { Child } from "../../../src/testbed/process.js";
import { type HostSide, underlayDevice } from "../../../src/testbed/two-hosts.js";
import { startFixture, waitForOutput } from "../support.js";
import type { GuestFiles } from "./build-guest.js";

const bootTimeout_ms = 40_000;
const memory_mib = 192;

/** A bridge of the host's underlay device and a new TAP; the host itself gives its address away. */
function bridgeTap(side: HostSide): void {
  const { host, underlayIp } = side;
  host.ip("addr", "del", `${underlayIp}/24`, "dev", underlayDevice);
  host.ip("link", "add", "br0", "type", "bridge");
  host.ip("tuntap", "add", "tap0", "mode", "tap", "vnet_hdr");
  for (const device of [underlayDevice, "tap0"]) host.ip("link", "set", device, "master", "br0");
  for (const device of ["tap0", "br0"]) host.ip("link", "set", device, "up");
}

export class Guest {
  readonly #qemu: Child;
  /** From where the guest's address is reached. */
  readonly #from: Namespace;
  readonly #address: string;

  private constructor(qemu: Child, from: Namespace, address: string) {
    this.#qemu = qemu;
    this.#from = from;
    this.#address = address;
  }

  /**
   * Boots the guest with the underlay address of `side`; commands for it go from the namespace
   * `from`.
   */
  static async boot(files: GuestFiles, side: HostSide, from: Namespace): Promise<Guest> {
    bridgeTap(side);
    const qemu = side.host.spawn([
      ...["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
      ...["-accel", "tcg", "-m", String(memory_mib), "-serial", "stdio"],
      ...["-kernel", files.kernel, "-initrd", files.initramfs],
      ...["-append", `console=ttyS0 quiet panic=-1 guest.address=${side.underlayIp}/24`],
      ...["-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"],
      ...["-device", "virtio-net-pci,netdev=n0,mac=02:00:00:00:00:21,romfile="],
    ]);
    await waitForOutput(qemu, "guest: ready", bootTimeout_ms);
    return new Guest(qemu, from, side.underlayIp);
  }

  /** Runs a shell script in the guest and returns its output, errors included. */
  async shell(script: string, timeout_ms = 30_000): Promise<string> {
    const child = startFixture(this.#from, "guest-shell.py", this.#address, script);
    const { status, stdout, stderr } = await child.wait(timeout_ms);
    if (status === 0) return stdout;
    throw new TestbedError(`the guest's shell: ${stderr}\nits console:\n${this.#qemu.stdout}`);
  }
}
