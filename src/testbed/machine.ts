// What demo and benchmark need of the machine, looked at before anything is made: root, the TUN
// driver, the programs. Changes nothing.

import { closeSync, openSync } from "node:fs";
import { TestbedError } from "./error.js";
import { hasCommand } from "./process.js";

/** Program -> the Debian package that has it. */
const debianPackages = {
  ip: "iproute2",
  ethtool: "ethtool",
  iperf3: "iperf3",
  ping: "iputils-ping",
  setpriv: "util-linux",
  sysctl: "procps",
} as const;

const tunDevice = "/dev/net/tun";

/** Throws TestbedError naming all programs that are not there, and the packages that have them. */
function checkPrograms(programs: readonly (keyof typeof debianPackages)[]): void {
  const missing = programs.filter((program) => !hasCommand(program));
  if (missing.length === 0) return;
  const packages = missing.map((program) => debianPackages[program]).join(" ");
  throw new TestbedError(
    `not on the PATH: ${missing.join(", ")}`,
    `install: apt-get install ${packages}; programs for root may lie in /usr/sbin`,
  );
}

/**
 * Throws TestbedError when this machine cannot have the two hosts with tunnels between them.
 * `what` needs them, started by `command`: `the demo`, `npm run demo`.
 */
export function checkMachine(what: string, command: string): void {
  if (process.getuid?.() !== 0) {
    throw new TestbedError(
      `${what} needs root for network namespaces and tunnel devices`,
      `run it with sudo: sudo ${command}`,
    );
  }
  try {
    closeSync(openSync(tunDevice, "r+"));
  } catch (error) {
    throw new TestbedError(
      `cannot open ${tunDevice}: ${(error as Error).message}`,
      `load the module (modprobe tun); in a container, pass the device (--device ${tunDevice})`,
    );
  }
  checkPrograms(Object.keys(debianPackages) as (keyof typeof debianPackages)[]);
}
