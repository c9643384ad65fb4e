// The Tun and Tap classes in a namespace of their own; iproute2 (`ip -j`) is the oracle for
// everything set and read.

import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { DEVICE_TAP, DEVICE_TUN } from "#native";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { Namespace } from "../../src/testbed/namespace.js";
import { fixturePath, isRoot, needsRoot } from "./tap-pair.js";

type Step = [what: string, ...args: unknown[]];
interface IpLink {
  ifname: string;
  ifindex: number;
  mtu: number;
  address?: string;
  flags: string[];
  linkinfo: { info_kind: string; info_data: Record<string, unknown> };
  addr_info: { family: string; local: string; prefixlen: number; scope: string }[];
}
interface Result {
  value?: unknown;
  ip?: IpLink | null;
  error?: { name: string; message: string; cause?: number };
}

const EBUSY = -16;
const EINVAL = -22;

const cleanup = new Cleanup();
let namespace: Namespace;

beforeAll(() => {
  if (isRoot) namespace = Namespace.create(cleanup, "tuntap");
});
beforeEach((context) => context.skip(!isRoot, needsRoot));
afterAll(() => cleanup.run());

/** All steps in one process; devices live as long as it does. */
function run(...steps: Step[]): Result[] {
  const fixture = fixturePath("tun-properties.mjs");
  const command = ["netns", "exec", namespace.name, process.execPath, fixture];
  const output = execFileSync("ip", [...command, JSON.stringify(steps)], {
    encoding: "utf8",
    timeout: 20_000,
  });
  return JSON.parse(output) as Result[];
}

const addresses = (link: IpLink, family: string): string[] =>
  link.addr_info
    .filter((info) => info.family === family && info.scope === "global")
    .map((info) => `${info.local}/${info.prefixlen}`);

describe("Tap and Tun", () => {
  it("make the device that they name", () => {
    const [tap, tun, queues] = run(
      ["new", "Tap", "tap-a"],
      ["new", "Tun", "tun-a"],
      ["new", "Tun", "fifteen-letters", { multiQueue: true }],
    );
    expect(tap.ip).toMatchObject({ ifname: "tap-a", linkinfo: { info_kind: "tun" } });
    expect(tap.ip!.linkinfo.info_data).toMatchObject({ type: "tap", vnet_hdr: true, pi: false });
    expect(tun.ip!.linkinfo.info_data).toMatchObject({ type: "tun", multi_queue: false });
    expect(queues.ip!.linkinfo.info_data).toMatchObject({ type: "tun", multi_queue: true });
    for (const { value, ip } of [tap, tun, queues]) {
      expect(value).toMatchObject({ name: ip!.ifname, index: ip!.ifindex });
    }
  });

  it("set and read MTU, MAC and state", () => {
    const [, mtu, mtuRead, mac, macDashes, up, upRead, down] = run(
      ["new", "Tap", "tap0"],
      ["set", "tap0", "mtu", 1450],
      ["get", "tap0", "mtu"],
      ["set", "tap0", "mac", "02:00:00:ab:cd:EF"],
      ["set", "tap0", "mac", "02-00-00-00-00-01"],
      ["set", "tap0", "isUp", true],
      ["get", "tap0", "isUp"],
      ["set", "tap0", "isUp", false],
    );
    expect(mtu).toMatchObject({ value: 1450, ip: { mtu: 1450 } });
    expect(mtuRead.value).toBe(1450);
    expect(mac).toMatchObject({ value: "02:00:00:ab:cd:ef", ip: { address: "02:00:00:ab:cd:ef" } });
    expect(macDashes.ip!.address).toBe("02:00:00:00:00:01");
    expect(up.ip!.flags).toContain("UP");
    expect(upRead.value).toBe(true);
    expect(down.value).toBe(false);
    expect(down.ip!.flags).not.toContain("UP");
  });

  it("set and read addresses", () => {
    const [, none, none6, four, changed, host, six, mapped] = run(
      ["new", "Tun", "tun0"],
      ["get", "tun0", "ipv4"],
      ["get", "tun0", "ipv6"],
      ["set", "tun0", "ipv4", "192.168.10.1/24"],
      ["set", "tun0", "ipv4", "10.255.0.1/9"],
      ["set", "tun0", "ipv4", "192.168.10.1/32"],
      ["set", "tun0", "ipv6", "fd57::a:0:1/64"],
      ["set", "tun0", "ipv6", "fd57:1::192.168.10.1/128"],
    );
    expect([none.value, none6.value]).toEqual(["", ""]);
    const cases: [Result, string][] = [
      [four, "192.168.10.1/24"],
      [changed, "10.255.0.1/9"],
      [host, "192.168.10.1/32"],
    ];
    for (const [{ value, ip }, address] of cases) {
      expect(value).toBe(address);
      expect(addresses(ip!, "inet")).toEqual([address]);
    }
    expect(six.value).toBe("fd57::a:0:1/64");
    expect(addresses(six.ip!, "inet6")).toEqual(["fd57::a:0:1/64"]);
    expect(addresses(mapped.ip!, "inet6")).toContain("fd57:1::c0a8:a01/128");
  });

  it("refuse wrong values and leave the device as it was", () => {
    const wrong: [string, unknown][] = [
      ["mtu", 67],
      ["mtu", 65_536],
      ["mtu", -1],
      ["mtu", "large"],
      ["mac", "02:00:00:00:00"],
      ["mac", "02:00:00:00:00:0g"],
      ["mac", "01:00:00:00:00:01"],
      ["mac", ""],
      ["ipv4", "192.168.10.1"],
      ["ipv4", "192.168.10.1/33"],
      ["ipv4", "192.168.10.256/24"],
      ["ipv4", "192.168.10/24"],
      ["ipv4", "192.168.10.1/24/7"],
      ["ipv4", "192.168.10.1/-1"],
      ["ipv4", "fd57::1/64"],
      ["ipv6", "fd57::1"],
      ["ipv6", "fd57::1/129"],
      ["ipv6", "fd57::1::2/64"],
      ["ipv6", "fd57::1]?x/64"],
      ["ipv6", "192.168.10.1/24"],
      ["ipv6", "/64"],
    ];
    const sets = wrong.map(([property, value]): Step => ["set", "tap1", property, value]);
    const [made, ...results] = run(["new", "Tap", "tap1"], ...sets, ["get", "tap1", "mtu"]);
    const accepted = wrong.filter((_, n) => results[n].error === undefined);
    expect(accepted).toEqual([]);
    expect(results[0].error!.message).toContain("MTU 67 on tap1: EINVAL");
    const { ip } = results.at(-1)!;
    expect({ ...ip, addr_info: [] }).toEqual({ ...made.ip, addr_info: [] });
    expect(addresses(ip!, "inet")).toEqual([]);
  });

  it("refuse a name that is taken or none", () => {
    const results = run(
      ["new", "Tap", "twice"],
      ["new", "Tap", "twice"],
      ["new", "Tun", "twice"],
      ["new", "Tap", "sixteen-letters-"],
      ["new", "Tap", "a/b"],
      ["new", "Tap", "."],
      ["new", "Tap", 7],
    );
    expect(results[0].error).toBeUndefined();
    const [, again, other] = results;
    expect(again.error).toMatchObject({ cause: EBUSY });
    expect(again.error!.message).toBe("cannot create device twice: EBUSY");
    expect(other.error!.cause).toBeLessThan(0);
    const causes = results.slice(3).map(({ error }) => error?.cause);
    expect(causes).toEqual([EINVAL, EINVAL, EINVAL, EINVAL]);
  });

  it("remove the device on release, once", () => {
    const [, up, released, again, gone, anew] = run(
      ["new", "Tap", "tap2"],
      ["set", "tap2", "isUp", true],
      ["release", "tap2"],
      ["release", "tap2"],
      ["get", "tap2", "mtu"],
      ["new", "Tap", "tap2"],
    );
    expect(up.ip).not.toBeNull();
    expect(released).toEqual({ value: null, ip: null });
    expect(again).toEqual({ value: null, ip: null });
    expect(gone.error!.message).toBe("MTU of tap2: ENODEV");
    expect(anew.ip).toMatchObject({ ifname: "tap2" });
  });
});

describe("tuntapOpen", () => {
  it("knows two kinds of device", () => {
    const kinds = [0, 3, -1, DEVICE_TUN, DEVICE_TAP];
    const results = run(...kinds.map((kind, n): Step => ["open", `dev${n}`, kind]));
    expect(results.slice(0, 3).map(({ value }) => value)).toEqual([EINVAL, EINVAL, EINVAL]);
    const types = results.slice(3).map(({ ip }) => ip!.linkinfo.info_data.type);
    expect(types).toEqual(["tun", "tap"]);
  });
});
