// What a tunnel runs over and who holds its port, found in the kernel, as root, in namespaces of
// their own.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Call,
  fixturePath,
  type Json,
  NetlinkNamespace,
} from "./fixtures/netlink-namespace.js";

const host = new NetlinkNamespace("nlu");
const other = new NetlinkNamespace("nlu2");
let va = 0;

beforeAll(() => {
  host.create();
  other.create();
  va = host.addLinks();
});

afterAll(() => {
  host.remove();
  other.remove();
});

describe("underlay", () => {
  beforeAll(() => {
    host.ip("address add 10.57.4.20/24 dev va");
    host.ip("address add fd57::20/64 nodad dev va");
    host.ip("address add 10.99.0.1/32 dev lo");
  });

  const overVa4 = (): Json => ({ dev: "va", ifindex: va, mtu_bytes: 1400, local: "10.57.4.20" });
  const overVa6 = (): Json => ({ ...overVa4(), local: "fd57::20" });

  it("finds device, MTU and local address from what is given", () => {
    const queries = [
      { local: "10.57.4.20" },
      { local: "FD57:0::20" },
      { dev: "va" },
      { dev: "va", family: 6 },
      { dev: "va", towards: "fd57::21" },
      { towards: "10.57.4.21" },
      { local: "10.57.4.20", dev: "va" },
      { local: "10.99.0.1", towards: "10.57.4.21" },
      { local: "10.99.0.1" },
    ];
    const found = host.values(...queries.map((query): Call => ["underlay", "underlayOf", query]));
    expect(found).toEqual([
      overVa4(),
      overVa6(),
      overVa4(),
      overVa6(),
      overVa6(),
      overVa4(),
      overVa4(),
      { ...overVa4(), local: "10.99.0.1" },
      { dev: "lo", ifindex: 1, mtu_bytes: 65536, local: "10.99.0.1" },
    ]);
  });

  it("says what is missing and what there is", () => {
    const [noLocal, noDev, bare, elsewhere, noRoute] = host.refusals(
      ["underlay", "underlayOf", { local: "10.57.4.99" }],
      ["underlay", "underlayOf", { dev: "eth7" }],
      ["underlay", "underlayOf", { dev: "br0" }],
      ["underlay", "underlayOf", { local: "10.57.4.20", dev: "lo" }],
      ["underlay", "underlayOf", { towards: "203.0.113.1" }],
    );
    expect(noLocal.code).toBe("CULVERT_NO_ADDRESS");
    expect(noLocal.message).toContain("10.57.4.99");
    expect(noLocal.hint).toContain("10.57.4.20 on va");
    expect(noDev.code).toBe("CULVERT_NO_DEVICE");
    expect(noDev.message).toContain("'eth7'");
    expect(noDev.hint).toContain("lo, ");
    expect(noDev.hint).toContain("va");
    expect(bare.code).toBe("CULVERT_NO_ADDRESS");
    expect(bare.message).toBe("device 'br0' has no global address");
    expect(bare.hint).toContain("10.57.4.20 on va");
    expect(elsewhere.code).toBe("CULVERT_NO_ADDRESS");
    expect(elsewhere.hint).toContain("10.57.4.20 on va");
    expect(noRoute.code).toBe("CULVERT_NO_ROUTE");
  });
});

describe("who holds a port", () => {
  async function withHolder(args: string[], use: (child: ChildProcess) => void): Promise<void> {
    const command = [
      "netns",
      "exec",
      host.name,
      process.execPath,
      fixturePath("hold-udp-port.mjs"),
      ...args,
    ];
    const child = spawn("ip", command, { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(child, "exit");
    try {
      await Promise.race([once(child.stdout!, "data"), ended]);
      expect(child.exitCode).toBeNull();
      use(child);
    } finally {
      child.stdin!.end();
      await ended;
    }
  }

  const holder = (query: Json): unknown =>
    host.values(["port-holder", "describePortHolder", query])[0];

  it("names the process, by family and address", async () => {
    await withHolder(["4", "10.57.4.20", "4789"], (child) => {
      const text = `process 'port-holder' (pid ${child.pid})`;
      expect(holder({ port: 4789, family: 4 })).toBe(text);
      expect(holder({ port: 4789, family: 4, address: "10.57.4.20" })).toBe(text);
      expect(holder({ port: 4789, family: 4, address: "127.0.0.1" })).toBeNull();
      expect(holder({ port: 4789, family: 6, address: "fd57::20" })).toBeNull();
      expect(holder({ port: 4790, family: 4 })).toBeNull();
    });
    await withHolder(["6", "::", "4789"], (child) => {
      const text = `process 'port-holder' (pid ${child.pid})`;
      expect(holder({ port: 4789, family: 6, address: "fd57::20" })).toBe(text);
    });
  });

  it("names a kernel vxlan device while it is up", () => {
    host.ip("link add vx4 type vxlan id 100 local 10.57.4.20 dev va dstport 4789");
    expect(holder({ port: 4789, family: 4 })).toBeNull();
    host.ip("link set vx4 up");
    expect(holder({ port: 4789, family: 4 })).toBe("kernel vxlan device 'vx4' (VNI 100)");
    expect(holder({ port: 4789, family: 6, address: "fd57::20" })).toBeNull();
    expect(holder({ port: 8472, family: 4 })).toBeNull();

    host.ip(`link set vx4 netns ${other.name}`);
    other.ip("link set vx4 up");
    expect(holder({ port: 4789, family: 4 })).toContain("a socket without a visible process");
    other.ip("link del vx4");
    expect(holder({ port: 4789, family: 4 })).toBeNull();
  });

  it("names a kernel vxlan device over IPv6", () => {
    host.ip("link add vx6 type vxlan id 6 local fd57::20 dstport 4789");
    host.ip("link set vx6 up");
    expect(holder({ port: 4789, family: 6 })).toBe("kernel vxlan device 'vx6' (VNI 6)");
    host.ip("link del vx6");
  });
});
