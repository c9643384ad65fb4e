// Checks: what a daemon needs to start. Only where none is running: one that runs has it.

import { check, type Found } from "../finding.js";

const TUN = "/dev/net/tun";
/** Bits of capabilities(7). */
const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;

const TUN_CURES: Readonly<Record<string, string>> = {
  ENOENT:
    "modprobe tun; in a container pass the device in (--device /dev/net/tun), or: mkdir -p /dev/net; mknod /dev/net/tun c 10 200",
  ENODEV: "modprobe tun",
  ENXIO: "modprobe tun",
  EACCES: `run as root, or: chmod 0666 ${TUN}`,
  EPERM: `allow the device in the container: --device ${TUN}`,
};

export const tunDevice = check("dev-net-tun", ({ host, daemonPid }): Found[] => {
  const obstacle = daemonPid === undefined ? host.openable(TUN) : undefined;
  if (obstacle === undefined) return [];
  const missing = obstacle === "ENOENT";
  return [
    {
      level: "problem",
      what: missing ? `${TUN} does not exist` : `${TUN} cannot be opened (${obstacle})`,
      consequence: "culvert cannot make the devices of its tunnels, and does not start",
      cure: TUN_CURES[obstacle] ?? "see `dmesg`",
    },
  ];
});

export const capabilities = check("capabilities", ({ host, daemonPid, tunnels }): Found[] => {
  if (daemonPid !== undefined) return [];
  const held = host.capabilities();
  const has = (bit: bigint): boolean => ((held >> bit) & 1n) === 1n;
  const ipip = tunnels.length === 0 || tunnels.some(({ type }) => type === "ipip");
  const missing: string[] = [];
  if (!has(CAP_NET_ADMIN)) missing.push("CAP_NET_ADMIN");
  if (ipip && !has(CAP_NET_RAW)) missing.push("CAP_NET_RAW");
  if (missing.length === 0) return [];
  const names = missing.join(" and ");
  return [
    {
      level: "problem",
      what: `this process has no ${names}`,
      consequence: "a daemon that is started the same way cannot make devices or open raw sockets",
      cure: `run it as root; in a systemd unit: AmbientCapabilities=${missing.join(" ")}; in a container: ${missing.map((name) => `--cap-add ${name.slice(4)}`).join(" ")}`,
    },
  ];
});
