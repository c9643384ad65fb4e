// errno of the kernel -> CulvertError: a stable code, what was being done to which object, what the
// kernel said, and the cure. One table for every rtnetlink request; no I/O.

import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { CulvertError } from "../errors.js";

const { errno } = constants;

/** What a request was about: decides between cures where one errno means different things. */
export type NetlinkSubject = "link" | "address" | "route" | "neighbour";

/** What a request did to it. */
export type NetlinkVerb = "add" | "replace" | "set" | "delete" | "get" | "list" | "open" | "use";

export interface NetlinkFailure {
  subject: NetlinkSubject;
  verb: NetlinkVerb;
  /** Naming what it was about: `address 10.0.0.1/24 on vxlan100`. */
  object: string;
  /** Positive errno. */
  errno: number;
  /** The text of the extended acknowledgement, if the kernel gave one. */
  kernelText?: string | undefined;
}

interface Cure {
  code: `CULVERT_${string}`;
  hint: string | ((failure: NetlinkFailure) => string);
}

const notPermitted: Cure = {
  code: "CULVERT_NOT_PERMITTED",
  hint:
    "CAP_NET_ADMIN is needed: run as root, or under systemd with " +
    "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW",
};

const accessDenied: Cure = {
  code: "CULVERT_NOT_PERMITTED",
  hint: ({ subject }) =>
    subject === "address" || subject === "route"
      ? "IPv6 may be disabled: `sysctl net.ipv6.conf.DEVICE.disable_ipv6`, for new devices " +
        "net.ipv6.conf.default.disable_ipv6; or a security module forbids it"
      : "a security module (SELinux, AppArmor) or a container profile forbids it",
};

const exists: Cure = {
  code: "CULVERT_EXISTS",
  hint: ({ subject }) =>
    subject === "link"
      ? "a link of that name or with those keys is there already: see `ip -d link`"
      : `it is there already: replace it, or remove the other one first (see \`${showCommand[subject]}\`)`,
};

const showCommand: Record<NetlinkSubject, string> = {
  link: "ip link",
  address: "ip address",
  route: "ip route",
  neighbour: "ip neigh",
};

const noDevice: Cure = {
  code: "CULVERT_NO_DEVICE",
  hint: "the device is not in this network namespace (any more): `ip link` lists those that are",
};

const notFound: Cure = {
  code: "CULVERT_NOT_FOUND",
  hint: ({ subject }) => `nothing like that is set: see \`${showCommand[subject]}\``,
};

const noRoute: Cure = {
  code: "CULVERT_NO_ROUTE",
  hint: ({ verb }) =>
    verb === "get"
      ? "no route leads there: add one, or set the local address and the device yourself"
      : "the gateway is in no subnet of that device: add `onlink: true` or an address in that subnet",
};

const refusedByRoute: Cure = {
  code: "CULVERT_NO_ROUTE",
  hint: "an unreachable, prohibit or blackhole route covers it: see `ip route show table all`",
};

const notSupported: Cure = {
  code: "CULVERT_NOT_SUPPORTED",
  hint: "this kernel or this kind of device cannot do it; for IPv6, see whether it is on (`ipv6.disable`)",
};

const invalid: Cure = {
  code: "CULVERT_NETLINK_INVALID",
  hint: ({ subject }) =>
    subject === "route"
      ? "check that the destination has no bits beyond its prefix length, that `via` is a neighbour and " +
        "not an own address, and that `source` is an address of this host"
      : "check the value against the limits in `ip -d link` and the kernel's own message",
};

const noMemory: Cure = {
  code: "CULVERT_KERNEL_LIMIT",
  hint: "the kernel is out of memory or one of its tables is full (`sysctl net.ipv4.neigh.default.gc_thresh3`)",
};

const timeout: Cure = {
  code: "CULVERT_NETLINK_TIMEOUT",
  hint: "the kernel did not answer in time: another process may hold the rtnl lock; see `dmesg`",
};

const curesByErrno = new Map<number, Cure>([
  [errno.EPERM, notPermitted],
  [errno.EACCES, accessDenied],
  [errno.EEXIST, exists],
  [errno.ENODEV, noDevice],
  [errno.ENXIO, noDevice],
  [errno.ENOENT, notFound],
  [errno.ESRCH, notFound],
  [errno.EADDRNOTAVAIL, notFound],
  [errno.ENETUNREACH, noRoute],
  [errno.EHOSTUNREACH, noRoute],
  [
    errno.ENETDOWN,
    { code: "CULVERT_LINK_DOWN", hint: "set the link up first: `ip link set DEVICE up`" },
  ],
  [errno.EBUSY, { code: "CULVERT_BUSY", hint: "something else uses it; see `ip -d link`" }],
  [errno.EOPNOTSUPP, notSupported],
  [errno.EAFNOSUPPORT, notSupported],
  [errno.EPROTONOSUPPORT, notSupported],
  [errno.EINVAL, invalid],
  [errno.ERANGE, invalid],
  [errno.ENOMEM, noMemory],
  [errno.ENOBUFS, noMemory],
  [errno.ENOSPC, noMemory],
  [errno.EAGAIN, timeout],
]);

const unknownCure: Cure = {
  code: "CULVERT_NETLINK",
  hint: "see `dmesg` and errno(3) for what the kernel means",
};

function nameOfErrno(value: number): string {
  try {
    return getSystemErrorName(-value);
  } catch {
    return `errno ${value}`;
  }
}

function cureOf({ errno: value, verb, subject }: NetlinkFailure): Cure {
  if (subject === "route" && verb === "get") {
    // What the kernel answers for a route of type blackhole and prohibit (ip-route(8)).
    if (value === errno.EINVAL || value === errno.EACCES) return refusedByRoute;
  }
  // Of a deletion: not there. Of anything else: an address that cannot be used so (a multicast MAC
  // or IP).
  if (value === errno.EADDRNOTAVAIL && verb !== "delete") return invalid;
  return curesByErrno.get(value) ?? unknownCure;
}

/** The error for a request the kernel refused. */
export function netlinkError(failure: NetlinkFailure): CulvertError {
  const cure = cureOf(failure);
  const name = nameOfErrno(failure.errno);
  const reason = failure.kernelText ? `${failure.kernelText} (${name})` : name;
  const hint = typeof cure.hint === "string" ? cure.hint : cure.hint(failure);
  return new CulvertError(cure.code, `cannot ${failure.verb} ${failure.object}: ${reason}`, {
    hint,
  });
}

/** The error for an answer whose lengths or values cannot be. */
export function malformedAnswer(what: string): CulvertError {
  return new CulvertError("CULVERT_NETLINK_MALFORMED", `malformed rtnetlink answer: ${what}`, {
    hint: "this kernel answers in a form culvert does not know; please report it with `uname -r`",
  });
}

/** True if `error` is a CulvertError with this code. */
export function hasCode(error: unknown, code: `CULVERT_${string}`): boolean {
  return error instanceof CulvertError && error.code === code;
}
