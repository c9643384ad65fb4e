// The emulated guest as a host of the testbed. Usually it takes the place of a host's underlay
// address, and the host becomes a bridge between its underlay device and the guest's TAP; or the
// host becomes a router in front of it. qemu runs in the host's namespace.

import { TestbedError } from "../../../src/testbed/error.js";
import type { Namespace } from "../../../src/testbed/namespace.js";
import type { Child } from "../../../src/testbed/process.js";
import { type HostSide, underlayDevice } from "../../../src/testbed/two-hosts.js";
import { startFixture, waitForOutput } from "../support.js";
import { type GuestFiles, guestPrograms } from "./build-guest.js";

/** busybox's shell would take its own poorer ones, whatever the PATH says. */
const prelude = guestPrograms.map((name) => `${name}() { /programs/${name} "$@"; }`).join("\n");
const bootTimeout_ms = 40_000;
const defaultMemory_mib = 192;
export const guestTap = "tap0";

/** Underlay addresses where the host is a router: the peer's default gateway, and the guest's. */
const routerAddress = "10.57.4.1";
const guestGateway = "10.57.6.1";
const routedGuestAddress = "10.57.6.21";

export interface GuestOptions {
  /** Is the host a router in front of the guest instead of a bridge? */
  routed?: boolean;
  memory_mib?: number;
  /** Instead of the usual one. */
  initramfs?: string;
}

/** The host's TAP; the host itself gives its underlay address away. */
function addTap({ host, underlayIp }: HostSide): void {
  host.ip("addr", "del", `${underlayIp}/24`, "dev", underlayDevice);
  host.ip("tuntap", "add", guestTap, "mode", "tap", "vnet_hdr");
}

/** A bridge of the host's underlay device and the TAP. */
function bridgeTap(side: HostSide): void {
  const { host } = side;
  addTap(side);
  host.ip("link", "add", "br0", "type", "bridge");
  for (const device of [underlayDevice, guestTap]) host.ip("link", "set", device, "master", "br0");
  for (const device of [guestTap, "br0"]) host.ip("link", "set", device, "up");
}

/** The host as a router between its underlay device and the TAP. */
function routeTap(side: HostSide): void {
  const { host } = side;
  addTap(side);
  host.ip("link", "set", guestTap, "up");
  host.ip("addr", "add", `${routerAddress}/24`, "dev", underlayDevice);
  host.ip("addr", "add", `${guestGateway}/24`, "dev", guestTap);
}

export class Guest {
  /** Its underlay address. */
  readonly address: string;
  readonly #qemu: Child;
  /** From where the guest's address is reached. */
  readonly #from: Namespace;

  private constructor(qemu: Child, from: Namespace, address: string) {
    this.#qemu = qemu;
    this.#from = from;
    this.address = address;
  }

  /** Boots the guest behind `side`; commands for it go from the namespace `from`. */
  static async boot(
    files: GuestFiles,
    side: HostSide,
    from: Namespace,
    {
      routed = false,
      memory_mib = defaultMemory_mib,
      initramfs = files.initramfs,
    }: GuestOptions = {},
  ): Promise<Guest> {
    if (routed) routeTap(side);
    else bridgeTap(side);
    const address = routed ? routedGuestAddress : side.underlayIp;
    const words = [`guest.address=${address}/24`, routed ? `guest.gateway=${guestGateway}` : ""];
    const qemu = side.host.spawn([
      ...["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
      ...["-accel", "tcg", "-m", String(memory_mib), "-serial", "stdio"],
      ...["-kernel", files.kernel, "-initrd", initramfs],
      ...["-append", `console=ttyS0 quiet panic=-1 ${words.join(" ")}`],
      ...["-netdev", `tap,id=n0,ifname=${guestTap},script=no,downscript=no`],
      ...["-device", "virtio-net-pci,netdev=n0,mac=02:00:00:00:00:21,romfile="],
    ]);
    await waitForOutput(qemu, "guest: ready", bootTimeout_ms);
    return new Guest(qemu, from, address);
  }

  /** Runs a shell script in the guest and returns its output, errors included. */
  async shell(script: string, timeout_ms = 30_000): Promise<string> {
    const child = startFixture(this.#from, "guest-shell.py", this.address, `${prelude}\n${script}`);
    const { status, stdout, stderr } = await child.wait(timeout_ms);
    if (status === 0) return stdout;
    throw new TestbedError(`the guest's shell: ${stderr}\nits console:\n${this.#qemu.stdout}`);
  }
}
