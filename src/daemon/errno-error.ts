// A failed native call -> CulvertError: what was being done, the kernel's word for it, and the
// cure. For opening devices and sockets; rtnetlink has its own table (src/netlink/errors.ts).

import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { CulvertError } from "../errors.js";
import { EBADFD } from "../packet/errno.js";
import { openFilesError } from "./open-files.js";

const { errno: Errno } = constants;

const PERMISSION_HINT =
  "run as root, or give the process CAP_NET_ADMIN and CAP_NET_RAW " +
  "(systemd: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)";

/** The kernel's name of a native result, < 0: `-98` -> `EADDRINUSE`. */
export function errnoName(result: number): string {
  // libuv has no name for this one.
  return -result === EBADFD ? "EBADFD" : getSystemErrorName(result);
}

/** @param result what `tuntapOpen` returned, < 0 */
export function deviceError(name: string, kind: "tap" | "tun", result: number): CulvertError {
  const what = `cannot create ${kind} device ${name}: ${errnoName(result)}`;
  switch (-result) {
    case Errno.EPERM:
    case Errno.EACCES:
      return new CulvertError("CULVERT_NOT_PERMITTED", `${what}: CAP_NET_ADMIN is missing`, {
        hint: PERMISSION_HINT,
      });
    case Errno.ENOENT:
    case Errno.ENODEV:
    case Errno.ENXIO:
      return new CulvertError("CULVERT_NO_TUN", `${what}: /dev/net/tun is not usable`, {
        hint:
          "load the driver with `modprobe tun`; in a container pass the device in " +
          "(`--device /dev/net/tun`) or make it: mkdir -p /dev/net; mknod /dev/net/tun c 10 200",
      });
    case Errno.EMFILE:
      return openFilesError(what);
    case Errno.EBUSY:
    case Errno.EINVAL:
      return new CulvertError("CULVERT_DEVICE_EXISTS", `${what}: the name is taken`, {
        hint: `see \`ip -d link show ${name}\`; remove that device or name the tunnel otherwise`,
      });
    default:
      return new CulvertError("CULVERT_DEVICE", what, { hint: `see \`dmesg\` and tun(4)` });
  }
}

/** @param what "UDP socket 10.57.4.20:4789". @param result what opening it returned, < 0 */
export function socketError(
  what: string,
  result: number,
  holder: string | undefined,
): CulvertError {
  const message = `cannot open ${what}: ${errnoName(result)}`;
  switch (-result) {
    case Errno.EPERM:
    case Errno.EACCES:
      return new CulvertError("CULVERT_NOT_PERMITTED", `${message}: CAP_NET_RAW is missing`, {
        hint: PERMISSION_HINT,
      });
    case Errno.EADDRINUSE:
      return new CulvertError(
        "CULVERT_PORT_IN_USE",
        `${message}: the port is held by ${holder ?? "somebody that /proc and netlink do not show"}`,
        {
          hint:
            "stop the holder, or give this tunnel another `port` (the same on all its peers); " +
            "a kernel vxlan device gives its port free when it is down: `ip link set DEV down`",
        },
      );
    case Errno.EADDRNOTAVAIL:
      return new CulvertError("CULVERT_NO_ADDRESS", `${message}: the address is not local`, {
        hint: "see `ip address`; set `local` to an address of this host",
      });
    case Errno.EMFILE:
      return openFilesError(message);
    case Errno.ENODEV:
      return new CulvertError("CULVERT_NO_DEVICE", `${message}: there is no such device`, {
        hint: "see `ip link`; set `dev` to a device of this host",
      });
    default:
      return new CulvertError("CULVERT_SOCKET", message, {
        hint: "see the kernel's log (`dmesg`) and the limits on open files (`ulimit -n`)",
      });
  }
}
