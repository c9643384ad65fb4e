// Each check on hosts of plain data: where it speaks up, what it says and how it is cured, and
// where it must be silent. test/netns/doctor.test.ts has real ones.

import { describe, expect, it } from "vitest";
import { ALL_CHECKS } from "../../../src/doctor/checks/all-checks.js";
import { examine } from "../../../src/doctor/examine.js";
import type { DoctorTunnel, Finding, Situation } from "../../../src/doctor/finding.js";
import type { IpTunnelLink } from "../../../src/netlink/links.js";
import { readSource } from "../source-tree.js";
import { beforeStart, type HostData, ipip0, situation, vxlan100 } from "./situations.js";

const found = (at: Situation): readonly Finding[] => examine(at).findings;

/** `level check dev` of each finding. */
const brief = (at: Situation): string[] =>
  found(at).map(({ level, check, dev = "-" }) => `${level} ${check} ${dev}`);

const cures = (at: Situation): string[] => found(at).map(({ cure }) => cure);

const both = (changes: Partial<DoctorTunnel>): DoctorTunnel => ({ ...ipip0, ...changes });

const ipTunnel: IpTunnelLink = { local: undefined, remote: undefined, protocol: 0 };
const tunl0: HostData = {
  links: [{ name: "tunl0", kind: "ipip", ipTunnel }],
  modules: ["tunnel4"],
};

describe("a host where everything is well", () => {
  it("has no findings, with and without tunnels and daemon", () => {
    for (const tunnels of [[], [ipip0], [vxlan100], [ipip0, vxlan100]]) {
      const links = [{ name: "vxlan100", mtu_bytes: 1450 }];
      expect(brief(situation({ links }, tunnels))).toEqual([]);
      expect(brief(beforeStart({}, tunnels))).toEqual([]);
    }
    expect(examine(situation({})).passed).toBe(ALL_CHECKS.length);
  });

  it("has the worst first, and counts what found nothing", () => {
    const sick = examine(
      situation({ sysctls: { "net/ipv4/ip_forward": 0 }, routes: { "10.57.4.21": undefined } }),
      [{ check: "daemon", level: "ok", what: "", consequence: "", cure: "" }],
    );
    expect(sick.findings.map(({ level }) => level)).toEqual(["problem", "warning", "ok"]);
    expect(sick.passed).toBe(ALL_CHECKS.length - 2);
  });
});

describe("kernel-tunnel, kernel-module", () => {
  it("tell devices that take packets too from a module that answers them", () => {
    expect(brief(situation(tunl0))).toEqual(["problem kernel-tunnel tunl0"]);
    expect(cures(situation(tunl0))).toEqual(["ip link set tunl0 down"]);
    const down = { ...tunl0, links: [{ ...tunl0.links![0], up: false }] };
    expect(brief(situation(down))).toEqual(["warning kernel-module -"]);
    expect(cures(situation(down))).toEqual(["if nothing else needs them: rmmod ipip sit tunnel4"]);
  });

  it("name a module once for all tunnels, and concern no VXLAN", () => {
    const at = situation({ modules: ["tunnel4"] }, [
      ipip0,
      both({ name: "ipip1", local: undefined }),
    ]);
    expect(brief(at)).toContain("warning kernel-module -");
    expect(found(at).filter(({ check }) => check === "kernel-module")).toHaveLength(1);
    expect(found(at).find(({ check }) => check === "kernel-module")!.what).toContain(
      "ipip0, ipip1",
    );
    const vxlan = { ...tunl0, links: [...tunl0.links!, { name: "vxlan100", mtu_bytes: 1450 }] };
    expect(brief(situation(vxlan, [vxlan100]))).toEqual([]);
  });

  it("warn on a host without tunnels of ours", () => {
    expect(brief(beforeStart(tunl0))).toEqual([
      "warning kernel-tunnel tunl0",
      "warning kernel-module -",
    ]);
  });
});

describe("rp-filter-strict, rp-filter-no-address", () => {
  const filter = (all: number, own: number, more: HostData = {}): HostData => ({
    ...more,
    sysctls: { "net/ipv4/conf/all/rp_filter": all, "net/ipv4/conf/ipip0/rp_filter": own },
  });

  it.each([
    [0, 0, false],
    [1, 0, true],
    [0, 1, true],
    [1, 1, true],
    [2, 1, false],
    [1, 2, false],
  ])("all %i and the device %i: strict %s", (all, own, strict) => {
    const expected = strict ? ["warning rp-filter-strict ipip0"] : [];
    expect(brief(situation(filter(all, own)))).toEqual(expected);
    const cure = "sysctl -w net.ipv4.conf.ipip0.rp_filter=2";
    expect(cures(situation(filter(all, own)))).toEqual(strict ? [cure] : []);
  });

  it("take a loose filter without IPv4 address for strict", () => {
    const none = { tunnelAddresses: ["fd00::1"] };
    const forwarding = { "net/ipv6/conf/all/forwarding": 1 };
    const loose = filter(2, 0, none);
    const at = situation({ ...loose, sysctls: { ...loose.sysctls, ...forwarding } });
    expect(brief(at)).toEqual(["warning rp-filter-no-address ipip0"]);
    expect(brief(situation(filter(0, 0, none)))).toEqual([]);
    expect(brief(situation(filter(1, 0, none)))).toEqual(["warning rp-filter-strict ipip0"]);
  });

  it("look at `default` for a device that is still to be made", () => {
    const tunnel = both({ name: "ipip7" });
    const data = { sysctls: { "net/ipv4/conf/default/rp_filter": 1 } };
    expect(cures(beforeStart(data, [tunnel]))).toEqual([
      "sysctl -w net.ipv4.conf.default.rp_filter=2",
    ]);
    expect(cures(beforeStart(data))).toEqual(["sysctl -w net.ipv4.conf.default.rp_filter=2"]);
  });

  it("leave alone what carries no IPv4, and ports of bridges", () => {
    expect(brief(situation(filter(1, 1), [both({ mode: "sit" })]))).toEqual([]);
    const port = { links: [{ name: "vxlan100", mtu_bytes: 1450, master: 9 }] };
    expect(brief(situation({ ...filter(1, 1), ...port }, [vxlan100]))).toEqual([]);
  });

  it("write a name with dots as sysctl(8) takes it", () => {
    const path = "net/ipv4/conf/ip.0/rp_filter";
    const at = situation({ links: [{ name: "ip.0" }], sysctls: { [path]: 1 } }, [
      both({ name: "ip.0", remotes: [] }),
    ]);
    expect(cures(at)).toEqual([`sysctl -w ${path}=2`]);
  });
});

describe("forwarding-ipv4, forwarding-ipv6", () => {
  it("name the switch that is off", () => {
    expect(cures(situation({ sysctls: { "net/ipv4/ip_forward": 0 } }))).toEqual([
      "sysctl -w net.ipv4.ip_forward=1",
    ]);
    expect(cures(situation({ sysctls: { "net/ipv4/conf/ipip0/forwarding": 0 } }))).toEqual([
      "sysctl -w net.ipv4.conf.ipip0.forwarding=1",
    ]);
    expect(brief(beforeStart({ sysctls: { "net/ipv4/ip_forward": 0 } }))).toEqual([
      "warning forwarding-ipv4 -",
    ]);
  });

  it("ask for IPv6 where the device has a global address and carries it", () => {
    const tunnelAddresses = ["192.168.10.1", "fd00::1"];
    const any = both({ mode: "any" });
    expect(cures(situation({ tunnelAddresses }, [any]))).toEqual([
      "sysctl -w net.ipv6.conf.all.forwarding=1",
    ]);
    expect(brief(situation({ tunnelAddresses }))).toEqual([]);
    expect(brief(situation({}, [any]))).toEqual([]);
    const off = { "net/ipv4/ip_forward": 0 };
    expect(brief(situation({ sysctls: off }, [both({ mode: "sit" })]))).toEqual([]);
  });
});

describe("udp-gro", () => {
  const on = ["eth0 rx-udp-gro-forwarding", "eth0 rx-gro"];

  it("names the device once, by its address, a route or `dev`", () => {
    expect(found(situation({ on }))).toMatchObject([
      {
        ...{ check: "udp-gro", level: "problem", dev: "eth0" },
        cure: "ethtool -K eth0 rx-udp-gro-forwarding off",
      },
    ]);
    const tunnels = [both({ local: undefined }), both({ name: "ipip1" })];
    const at = situation({ on }, tunnels);
    const [{ what }] = found(at).filter(({ check }) => check === "udp-gro") as [Finding];
    expect(what).toContain("ipip0, ipip1");
    const bound = both({ dev: "eth1", remotes: [] });
    const links = [{ name: "eth1" }];
    expect(brief(situation({ on, links }, [bound]))).toEqual([]);
    const onOther = on.map((feature) => feature.replace("eth0", "eth1"));
    expect(brief(situation({ on: onOther, links }, [bound]))).toEqual(["problem udp-gro eth1"]);
  });

  it("names every offload that joins", () => {
    expect(cures(situation({ on: [...on, "eth0 rx-gro-list"] }))).toEqual([
      "ethtool -K eth0 rx-udp-gro-forwarding off rx-gro-list off",
    ]);
    expect(cures(situation({ on: ["eth0 rx-gro", "eth0 rx-gro-list"] }))).toEqual([
      "ethtool -K eth0 rx-gro-list off",
    ]);
  });

  it("does no harm without GRO", () => {
    for (const feature of on) expect(brief(situation({ on: [feature] }))).toEqual([]);
  });

  it("does not concern VXLAN, whose sockets are told the size", () => {
    const links = [{ name: "vxlan100", mtu_bytes: 1450 }];
    expect(brief(situation({ on, links }, [vxlan100]))).toEqual([]);
  });
});

describe("remote-no-route, remote-recursion", () => {
  it("name remotes without a way, some of many", () => {
    const remotes = Array.from({ length: 9 }, (_, i) => `10.57.4.${30 + i}`);
    const routes = Object.fromEntries(remotes.map((address) => [address, undefined]));
    const at = situation({ routes }, [both({ remotes })]);
    expect(brief(at)).toEqual(["problem remote-no-route ipip0"]);
    expect(found(at)[0]!.what).toContain("10.57.4.34 and 4 more, remotes of ipip0");
    expect(cures(at)).toEqual(["ip route add 10.57.4.30/32 via ROUTER dev DEVICE"]);
  });

  it("ask by the device that sockets are bound to", () => {
    const bound = both({ dev: "eth0" });
    const routes = { "10.57.4.21": { ifindex: 3 }, "10.57.4.21 oif 2": { ifindex: 2 } };
    expect(brief(situation({ routes }, [bound]))).toEqual([]);
    expect(brief(situation({ routes }))).toEqual(["problem remote-recursion ipip0"]);
  });

  it("do not ask for multicast groups", () => {
    const links = [{ name: "vxlan100", mtu_bytes: 1450 }];
    expect(brief(situation({ links, routes: { "239.1.1.1": undefined } }, [vxlan100]))).toEqual([]);
  });
});

describe("mtu", () => {
  const narrow = (mtu_bytes: number): HostData => ({ routes: { "10.57.4.21": { mtu_bytes } } });

  it("compares with the route and its device", () => {
    expect(found(situation(narrow(1400)))).toMatchObject([
      {
        ...{ check: "mtu", level: "warning", dev: "ipip0" },
        cure: 'ip link set ipip0 mtu 1380  # and "mtu: 1380" in the configuration',
      },
    ]);
    expect(brief(situation(narrow(1500)))).toEqual([]);
    const small = { links: [{ name: "eth0", mtu_bytes: 1499 }] };
    expect(brief(situation(small))).toEqual(["warning mtu ipip0"]);
  });

  it("knows the headers of each type and family", () => {
    const room = (tunnel: DoctorTunnel, name = tunnel.name): string[] => {
      const remotes = [tunnel.family === 4 ? "10.57.4.21" : "fd57::21"];
      const links = [{ name, mtu_bytes: 1500 }];
      return cures(situation({ links }, [{ ...tunnel, name, remotes }])).map(
        (cure) => /mtu (\d+)/.exec(cure)![1]!,
      );
    };
    expect(room(ipip0)).toEqual(["1480"]);
    expect(room(both({ mode: "ipip6", family: 6, local: undefined }))).toEqual(["1460"]);
    expect(room(vxlan100)).toEqual(["1450"]);
    expect(room({ ...vxlan100, family: 6, local: undefined })).toEqual(["1430"]);
  });

  it("leaves IPv6 what it needs", () => {
    const links = [{ name: "ipip0", mtu_bytes: 1280 }];
    expect(brief(situation({ links, ...narrow(1200) }, [both({ mode: "sit" })]))).toEqual([]);
    expect(brief(situation({ links, ...narrow(1200) }))).toEqual(["warning mtu ipip0"]);
  });

  it("takes the configured MTU where there is no device yet", () => {
    const tunnel = both({ name: "ipip7", mtu_bytes: 1500 });
    expect(brief(beforeStart({}, [tunnel]))).toEqual(["warning mtu ipip7"]);
    expect(brief(beforeStart({}, [{ ...tunnel, mtu_bytes: undefined }]))).toEqual([]);
  });
});

describe("dev-net-tun, capabilities, tunnel-device", () => {
  it("say what a daemon lacks to start", () => {
    expect(brief(beforeStart({ obstacle: "ENOENT" }))).toEqual(["problem dev-net-tun -"]);
    expect(cures(beforeStart({ obstacle: "ENODEV" }))).toEqual(["modprobe tun"]);
    expect(found(beforeStart({ obstacle: "EIO" }))[0]!.what).toContain("EIO");
    expect(found(beforeStart({ capabilities: 0n }))[0]!.what).toBe(
      "this process has no CAP_NET_ADMIN and CAP_NET_RAW",
    );
    const admin = { capabilities: 1n << 12n };
    expect(brief(beforeStart(admin, [ipip0]))).toEqual(["problem capabilities -"]);
    expect(brief(beforeStart(admin, [vxlan100]))).toEqual([]);
  });

  it("do not ask what a running daemon has shown to have", () => {
    expect(brief(situation({ obstacle: "ENOENT", capabilities: 0n }))).toEqual([]);
  });

  it("miss the devices of a running daemon alone", () => {
    const elsewhere = both({ name: "ipip7" });
    expect(brief(situation({}, [elsewhere]))).toEqual(["problem tunnel-device ipip7"]);
    expect(cures(situation({}, [elsewhere]))[0]).toContain("nsenter -t 4242 -n");
    expect(brief(beforeStart({}, [elsewhere]))).toEqual([]);
    expect(cures(situation({ links: [{ name: "ipip0", up: false }] }))).toEqual([
      "ip link set ipip0 up",
    ]);
  });
});

describe("the checks", () => {
  const documented = Array.from(
    readSource("docs/doctor.md").matchAll(/^\| `([a-z0-9-]+)` \|/gm),
    (match) => match[1],
  );

  it("have names of their own, each in docs/doctor.md, and no other is there", () => {
    const names = ALL_CHECKS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect([...documented].sort()).toEqual([...names, "daemon", "underlay"].sort());
  });
});
