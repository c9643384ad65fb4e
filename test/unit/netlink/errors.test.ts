// errno of a request -> CulvertError: code, wording and cure.

import { constants } from "node:os";
import { describe, expect, it } from "vitest";
import type { NetlinkFailure } from "../../../src/netlink/errors.js";
import { netlinkError } from "../../../src/netlink/errors.js";

const { errno } = constants;
const failure = (value: number, over: Partial<NetlinkFailure> = {}): NetlinkFailure => ({
  subject: "route",
  verb: "add",
  object: "route 10.0.0.0/8 dev va",
  errno: value,
  ...over,
});

describe("netlinkError", () => {
  it("gives each errno its code", () => {
    const codes = [
      errno.EPERM,
      errno.EEXIST,
      errno.ENODEV,
      errno.ESRCH,
      errno.ENETUNREACH,
      errno.ENETDOWN,
      errno.EOPNOTSUPP,
      errno.EINVAL,
      errno.ENOBUFS,
      errno.EAGAIN,
      errno.EXDEV,
    ].map((value) => netlinkError(failure(value)).code);
    expect(codes).toEqual([
      "CULVERT_NOT_PERMITTED",
      "CULVERT_EXISTS",
      "CULVERT_NO_DEVICE",
      "CULVERT_NOT_FOUND",
      "CULVERT_NO_ROUTE",
      "CULVERT_LINK_DOWN",
      "CULVERT_NOT_SUPPORTED",
      "CULVERT_NETLINK_INVALID",
      "CULVERT_KERNEL_LIMIT",
      "CULVERT_NETLINK_TIMEOUT",
      "CULVERT_NETLINK",
    ]);
  });

  it("names object, kernel's words and errno", () => {
    const withWords = netlinkError(failure(errno.EINVAL, { kernelText: "Invalid prefix" }));
    expect(withWords.message).toBe("cannot add route 10.0.0.0/8 dev va: Invalid prefix (EINVAL)");
    expect(netlinkError(failure(errno.EINVAL)).message).toBe(
      "cannot add route 10.0.0.0/8 dev va: EINVAL",
    );
    expect(netlinkError(failure(4000)).message).toContain("4000");
  });

  it("chooses the cure by what was done", () => {
    const hint = (value: number, over: Partial<NetlinkFailure>): string | undefined =>
      netlinkError(failure(value, over)).hint;
    expect(hint(errno.EPERM, {})).toMatch(/CAP_NET_ADMIN.*AmbientCapabilities/);
    expect(hint(errno.ENETUNREACH, {})).toContain("onlink: true");
    expect(hint(errno.ENETUNREACH, { verb: "get" })).toContain("no route leads there");
    expect(hint(errno.EACCES, { subject: "address" })).toContain("disable_ipv6");
    expect(hint(errno.EEXIST, { subject: "neighbour" })).toContain("ip neigh");
    const code = (over: Partial<NetlinkFailure>): string =>
      netlinkError(failure(errno.EADDRNOTAVAIL, over)).code;
    expect(code({ subject: "address", verb: "delete" })).toBe("CULVERT_NOT_FOUND");
    expect(code({ subject: "link", verb: "set" })).toBe("CULVERT_NETLINK_INVALID");
  });
});
