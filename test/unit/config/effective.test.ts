// What a right document becomes: defaults filled in, addresses canonical, and the printed form
// loads again.

import { describe, expect, it } from "vitest";
import type { Config, TunnelConfig } from "../../../src/config/effective.js";
import { formatConfig } from "../../../src/config/format.js";
import { loadConfig } from "../../../src/config/load.js";
import { CONTRACT_EXAMPLE, ipipWith, rootWith, vxlanWith } from "./documents.js";

function load(text: string): Config {
  const { config, problems } = loadConfig(text, "test.yaml");
  expect(problems).toBeUndefined();
  if (config === undefined) throw new Error("not a valid configuration");
  return config;
}

function tunnelOf<Type extends TunnelConfig["type"]>(text: string, type: Type) {
  const tunnel = load(text).tunnels[0];
  if (tunnel.type !== type) throw new Error(`not a tunnel of type ${type}`);
  return tunnel as Extract<TunnelConfig, { type: Type }>;
}

/** What a vxlan tunnel has unless the file says otherwise, beside what the contract names. */
const PLAIN_VXLAN = {
  srcport: "49152-65535",
  ttl: 0,
  tos: 0,
  df: "unset",
  flowlabel: "auto",
  udp_csum: true,
  udp6_zero_csum_tx: false,
  udp6_zero_csum_rx: false,
  remcsum_tx: false,
  remcsum_rx: false,
  gbp: "off",
  rsc: false,
  l2miss: false,
  l3miss: false,
  notify: true,
  keepalive_s: 10,
  bum_limit_pps: 0,
  max_macs_per_remote: 0,
} as const;

const CONTRACT_EFFECTIVE: Config = {
  control: { socket: "/run/culvert/culvert.sock" },
  log: { level: "info" },
  metrics: { listen: "127.0.0.1:9479" },
  workers: "auto",
  busy_poll_us: 100,
  offloads: { tso: true, uso: true, udp_segment: true, udp_gro: true, tun_checksum: true },
  tunnels: [
    {
      name: "vxlan100",
      type: "vxlan",
      vni: 100,
      local: "10.57.4.20",
      port: 4789,
      ...PLAIN_VXLAN,
      mtu: "auto",
      mac: "auto",
      addresses: ["192.168.10.1/24"],
      routes: [{ to: "192.168.11.0/24", via: "192.168.11.1", onlink: true, metric: 0 }],
      learning: true,
      ageing_s: 300,
      max_entries: 65_536,
      proxy: false,
      strict_reserved: false,
      inner_vlan: "pass",
      direct: false,
      allow: "known",
      remotes: [{ dst: "10.57.4.21", port: 4789, vni: 100 }],
      fdb: [{ mac: "02:00:00:00:00:0b", dst: "10.57.4.21", port: 4789, vni: 100, router: false }],
      neighbors: [{ ip: "192.168.11.1", mac: "02:00:00:00:00:0b", router: false }],
    },
    {
      name: "ipip0",
      type: "ipip",
      mode: "ipip",
      local: "10.57.4.20",
      remote: "any",
      ttl: 64,
      tos: 0,
      pmtudisc: true,
      mtu: "auto",
      addresses: ["192.168.10.1/32"],
      routes: [{ to: "192.168.11.0/24", via: "10.57.4.21", onlink: true, metric: 0 }],
      direct: false,
      allow: "known",
    },
  ],
};

describe("the effective configuration", () => {
  it("is exactly this for the example of the interface contract", () => {
    expect(load(CONTRACT_EXAMPLE)).toStrictEqual(CONTRACT_EFFECTIVE);
  });

  it("fills in every default of a vxlan tunnel", () => {
    expect(load("tunnels: [{ name: v, type: vxlan, vni: 0, dev: eth0 }]")).toStrictEqual({
      control: { socket: "/run/culvert/culvert.sock" },
      log: { level: "info" },
      metrics: { listen: "off" },
      workers: "auto",
      busy_poll_us: 100,
      offloads: { tso: true, uso: true, udp_segment: true, udp_gro: true, tun_checksum: true },
      tunnels: [
        {
          name: "v",
          type: "vxlan",
          vni: 0,
          dev: "eth0",
          port: 4789,
          ...PLAIN_VXLAN,
          mtu: "auto",
          mac: "auto",
          addresses: [],
          routes: [],
          learning: true,
          ageing_s: 300,
          max_entries: 65_536,
          proxy: false,
          strict_reserved: false,
          inner_vlan: "pass",
          direct: false,
          allow: "known",
          remotes: [],
          fdb: [],
          neighbors: [],
        },
      ],
    });
  });

  it("fills in every default of an ipip tunnel", () => {
    expect(tunnelOf("tunnels: [{ name: i, type: ipip, local: 10.0.0.1 }]", "ipip")).toStrictEqual({
      name: "i",
      type: "ipip",
      mode: "ipip",
      local: "10.0.0.1",
      remote: "any",
      ttl: 64,
      tos: 0,
      pmtudisc: true,
      mtu: "auto",
      addresses: [],
      routes: [],
      direct: false,
      allow: "known",
    });
  });

  it.each([
    ["local: 10.0.0.1", "ipip"],
    ["dev: eth0", "ipip"],
    ['local: "fd00::1"', "ipip6"],
    ['dev: eth0, remote: "fd00::1"', "ipip6"],
    ["dev: eth0, mode: ip6ip6", "ip6ip6"],
    ["local: any, mode: any", "any"],
  ])("tells the mode of an ipip tunnel with %s: %s", (keys, mode) => {
    expect(tunnelOf(`tunnels: [{ name: i, type: ipip, ${keys} }]`, "ipip").mode).toBe(mode);
  });

  it("takes what the header of an ipip tunnel is to be", () => {
    const text = `tunnels:
  - name: i
    type: ipip
    mode: ip6ip6
    local: "FD00:0::1"
    dev: eth0
    remote: "FD00::2"
    tos: inherit
    ttl: 0
    routes: [{ to: "fd01::/64", via: "FD00::3" }]
`;
    expect(tunnelOf(text, "ipip")).toMatchObject({
      ...{ mode: "ip6ip6", local: "fd00::1", dev: "eth0", remote: "fd00::2" },
      ...{ tos: "inherit", ttl: "inherit", pmtudisc: true },
      routes: [{ to: "fd01::/64", via: "fd00::3", onlink: true, metric: 0 }],
    });
    const any = tunnelOf(ipipWith("ttl: inherit\n    pmtudisc: false"), "ipip");
    expect(any).toMatchObject({ ttl: "inherit", pmtudisc: false });
  });

  it("turns single offloads off and leaves the others on", () => {
    expect(load(rootWith("offloads: { uso: false, udp_gro: false }")).offloads).toStrictEqual({
      tso: true,
      uso: false,
      udp_segment: true,
      udp_gro: false,
      tun_checksum: true,
    });
  });

  it("makes addresses, prefixes and MACs canonical", () => {
    const text = `tunnels:
  - name: t
    type: vxlan
    vni: 0x10
    local: FD00:0:0:0::0001
    mac: 02-AB-CD-EF-00-01
    addresses: ["FD10::0:1/64", 192.168.1.7/24]
    routes: [{ to: "FD11:0::/64", via: "fd11:0:0::1", onlink: true, metric: 7 }]
    allow: ["FD00:0::/32"]
    remotes: ["fd00:00::0002", { dst: fd00::3, port: 8472, vni: 9 }]
    fdb: [{ mac: 02-00-00-00-00-0B, dst: "FD00::2", port: 1, vni: 2 }]
    neighbors: [{ ip: "FD10::0:9", mac: 02:00:00:00:00:0C }]
`;
    const tunnel = tunnelOf(text, "vxlan");
    expect(tunnel).toMatchObject({
      vni: 16,
      local: "fd00::1",
      mac: "02:ab:cd:ef:00:01",
      addresses: ["fd10::1/64", "192.168.1.7/24"],
      routes: [{ to: "fd11::/64", via: "fd11::1", onlink: true, metric: 7 }],
      allow: ["fd00::/32"],
      remotes: [
        { dst: "fd00::2", port: 4789, vni: 16 },
        { dst: "fd00::3", port: 8472, vni: 9 },
      ],
      fdb: [{ mac: "02:00:00:00:00:0b", dst: "fd00::2", port: 1, vni: 2, router: false }],
      neighbors: [{ ip: "fd10::9", mac: "02:00:00:00:00:0c", router: false }],
    });
  });

  it("puts all-zero FDB entries on the flood list", () => {
    const tunnel = tunnelOf(
      vxlanWith(`remotes: [10.0.0.2]
    fdb:
      - { mac: "00:00:00:00:00:00", dst: 10.0.0.3, vni: 5 }
      - { mac: "02:00:00:00:00:03", dst: 10.0.0.3 }`),
      "vxlan",
    );
    expect(tunnel.remotes).toStrictEqual([
      { dst: "10.0.0.2", port: 4789, vni: 1 },
      { dst: "10.0.0.3", port: 4789, vni: 5 },
    ]);
    expect(tunnel.fdb).toStrictEqual([
      { mac: "02:00:00:00:00:03", dst: "10.0.0.3", port: 4789, vni: 1, router: false },
    ]);
  });

  it("puts `remote` first on the flood list", () => {
    const { remotes } = tunnelOf(vxlanWith("remote: 10.0.0.2\n    remotes: [10.0.0.3]"), "vxlan");
    expect(remotes.map(({ dst }) => dst)).toStrictEqual(["10.0.0.2", "10.0.0.3"]);
  });

  it("takes packets from everybody with a multicast group, unless told otherwise", () => {
    const group = vxlanWith("dev: eth0\n    group: 239.1.1.1");
    expect(tunnelOf(group, "vxlan")).toMatchObject({ group: "239.1.1.1", allow: "any" });
    const known = tunnelOf(`${group}    allow: known\n`, "vxlan");
    expect(known.allow).toBe("known");
  });

  it("knows inherited fields, one source port, groups of policy, routers", () => {
    const text = vxlanWith(`ttl: inherit
    tos: inherit
    df: inherit
    srcport: 4789
    flowlabel: 0xfffff
    gbp: { id: 7 }
    remotes: [{ dst: 10.0.0.2, gbp: 9 }]
    fdb: [{ mac: "33:33:00:00:00:01", dst: 10.0.0.2 }, { mac: "33:33:00:00:00:01", dst: 10.0.0.3 }]
    neighbors: [{ ip: 10.9.0.1, mac: "02:00:00:00:00:01", router: true }]`);
    expect(tunnelOf(text, "vxlan")).toMatchObject({
      ttl: "inherit",
      tos: "inherit",
      df: "inherit",
      srcport: "4789-4789",
      flowlabel: 1_048_575,
      gbp: { id: 7, allow: "any" },
      remotes: [{ dst: "10.0.0.2", port: 4789, vni: 1, gbp: 9 }],
      fdb: [{ dst: "10.0.0.2" }, { dst: "10.0.0.3" }],
      neighbors: [{ ip: "10.9.0.1", router: true }],
    });
  });

  it("makes next hops onlink on ipip unless told otherwise, and never without a next hop", () => {
    const tunnel = tunnelOf(
      ipipWith(`routes:
      - { to: 10.1.0.0/16, via: 10.0.0.2 }
      - { to: 10.2.0.0/16, via: 10.0.0.2, onlink: false }
      - { to: 10.3.0.0/16 }`),
      "ipip",
    );
    expect(tunnel.routes).toStrictEqual([
      { to: "10.1.0.0/16", via: "10.0.0.2", onlink: true, metric: 0 },
      { to: "10.2.0.0/16", via: "10.0.0.2", onlink: false, metric: 0 },
      { to: "10.3.0.0/16", onlink: false, metric: 0 },
    ]);
  });

  it("follows YAML aliases", () => {
    const text = vxlanWith("remotes: &peers [10.0.0.2, 10.0.0.3]");
    const second = "  - { name: u, type: vxlan, vni: 2, local: 10.0.0.1, remotes: *peers }\n";
    const { tunnels } = load(text + second);
    expect(tunnels[1]).toMatchObject({
      remotes: [
        { dst: "10.0.0.2", vni: 2 },
        { dst: "10.0.0.3", vni: 2 },
      ],
    });
  });

  it.each([
    "workers: 1",
    "workers: 16",
    "busy_poll_us: 0",
    "busy_poll_us: 1000",
    'metrics: { listen: "[::1]:1" }',
    "metrics: { listen: off }",
    "log: { level: trace }",
    "control: { socket: /tmp/c.sock }",
  ])("accepts %s", (line) => {
    load(rootWith(line));
  });

  it.each([
    "mtu: 68",
    "mtu: 65521",
    "ttl: 255",
    "ageing_s: 0",
    "max_entries: 1",
    "max_entries: 1048576",
    "allow: any",
    "inner_vlan: drop",
    "strict_reserved: true",
    "udp_csum: false",
    "dev: eth0",
    'addresses: ["::1/0"]',
    "routes: [{ to: 0.0.0.0/0 }]",
  ])("accepts %s in a vxlan tunnel", (line) => {
    load(vxlanWith(line));
  });

  it("accepts 1024 remotes and the largest VNI and port", () => {
    const remotes = Array.from({ length: 1024 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
    const text = `tunnels: [{ name: fifteen-bytes-ok, type: vxlan, vni: 16777215, port: 65535,
      local: 10.0.0.1, remotes: [${remotes.join(", ")}] }]`.replace("-ok", "");
    expect(tunnelOf(text, "vxlan").remotes).toHaveLength(1024);
  });

  it("tells tunnels apart by VNI, by port or by local address", () => {
    const tunnel = (name: string, rest: string) => `  - { name: ${name}, type: vxlan, ${rest} }\n`;
    const text = [
      tunnel("a", "vni: 1, local: 10.0.0.1"),
      tunnel("b", "vni: 2, local: 10.0.0.1"),
      tunnel("c", "vni: 1, local: 10.0.0.1, port: 8472"),
      tunnel("d", "vni: 1, local: 10.0.0.2"),
    ].join("");
    expect(load(`tunnels:\n${text}`).tunnels).toHaveLength(4);
  });

  it("prints a form that loads to the same configuration", () => {
    const every = [
      CONTRACT_EXAMPLE,
      "tunnels: [{ name: v, type: vxlan, vni: 0, dev: eth0 }]",
      'tunnels: [{ name: "1e3", type: vxlan, vni: 0, dev: "null", mac: "10:20:30:40:50:10" }]',
      vxlanWith('allow: [10.0.0.0/8]\n    fdb: [{ mac: "00:00:00:00:00:00", dst: 10.0.0.3 }]'),
    ];
    for (const text of every) {
      const config = load(text);
      expect(load(formatConfig(config))).toStrictEqual(config);
    }
  });

  it("prints addresses that other YAML readers do not take for numbers", () => {
    const printed = formatConfig(
      load("tunnels: [{ name: v, type: vxlan, vni: 0, dev: e, mac: 10:20:30:40:50:10 }]"),
    );
    expect(printed).toContain('mac: "10:20:30:40:50:10"');
    expect(printed).toContain('listen: "off"');
  });
});
