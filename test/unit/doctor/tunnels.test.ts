// The tunnels that checks look at: from a daemon's status and from a configuration.

import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.js";
import { deviceTunnels } from "../../../src/config/tunnel-kinds.js";
import type { StatusReport, TunnelStatus } from "../../../src/control/target.js";
import {
  type FindUnderlay,
  tunnelsOfConfig,
  tunnelsOfStatus,
} from "../../../src/doctor/tunnels.js";
import { CulvertError } from "../../../src/errors.js";
import { MemoryTarget } from "../control/memory-target.js";

const [vxlan, ipip] = new MemoryTarget().status().tunnels as [TunnelStatus, TunnelStatus];

const statusOf = (tunnel: TunnelStatus): StatusReport => ({
  ...new MemoryTarget().status(),
  tunnels: [tunnel],
});

describe("of a status", () => {
  it("have the outer addresses, `any` as unknown", () => {
    const [first] = tunnelsOfStatus(statusOf(vxlan));
    expect(first).toMatchObject({ name: "vxlan100", type: "vxlan", local: "10.57.4.20" });
    expect(first!.remotes[0]).toBe("10.57.4.21");
    const more = { mode: "any", local: "0.0.0.0", remote: "10.57.4.21", dev: "eth0" } as const;
    expect(tunnelsOfStatus(statusOf({ ...ipip, ...more }))).toMatchObject([
      { ...more, local: undefined, family: 4 },
    ]);
    expect(tunnelsOfStatus(statusOf({ ...ipip, local: "fd57::20" }))[0]!.family).toBe(6);
  });

  it("have next hops that are not used because they lead into the tunnel", () => {
    const recursive = ["10.57.4.99", "10.57.4.21", "fd57::21"];
    const route_problems = { unreachable: 0, recursive, beyond_limits: 0 };
    const remotes = [{ ...vxlan.remotes[0]!, address: "10.57.4.21" }];
    const [tunnel] = tunnelsOfStatus(statusOf({ ...ipip, remotes, route_problems }));
    expect(tunnel!.remotes).toEqual(["10.57.4.21", "10.57.4.99"]);
  });
});

describe("of a configuration", () => {
  function tunnels(text: string, find: FindUnderlay = () => ({ local: "10.57.4.20" })) {
    const { config } = loadConfig(`tunnels:\n${text}`, "test");
    return tunnelsOfConfig(deviceTunnels(config!), find);
  }

  it("have the outer destinations that the file names, each once", () => {
    const ipip0 = tunnels(
      "  - { name: ipip0, type: ipip, local: 10.57.4.20, routes: [{ to: 10.1.0.0/16, via: 10.57.4.21 }," +
        " { to: 10.2.0.0/16, via: 10.57.4.21 }, { to: 10.3.0.0/16 }] }",
    ).tunnels[0]!;
    expect(ipip0).toMatchObject({ mode: "ipip", family: 4, mtu_bytes: undefined });
    expect(ipip0.remotes).toEqual(["10.57.4.21"]);
    const point = tunnels(
      "  - { name: p, type: ipip, dev: eth0, remote: fd57::21, mtu: 1400, routes: [{ to: 10.1.0.0/16 }] }",
      () => ({ local: "fd57::20" }),
    ).tunnels[0]!;
    expect(point).toMatchObject({
      ...{ mode: "ipip6", family: 6, local: "fd57::20", dev: "eth0", remote: "fd57::21" },
      ...{ mtu_bytes: 1400, remotes: ["fd57::21"] },
    });
    const vxlan100 = tunnels(
      "  - name: vxlan100\n    type: vxlan\n    vni: 100\n    dev: eth0\n    remotes: [fd57::21]\n" +
        '    fdb: [{ mac: "02:00:00:00:00:0b", dst: "fd57::22" }]',
    ).tunnels[0]!;
    expect(vxlan100.family).toBe(6);
    expect(vxlan100.remotes).toEqual(["fd57::21", "fd57::22"]);
  });

  it("tell what keeps a tunnel from its place on the underlay", () => {
    const { findings, tunnels: found } = tunnels(
      "  - { name: ipip0, type: ipip, local: 10.57.4.20 }",
      () => {
        throw new CulvertError("CULVERT_NO_ADDRESS", "no device has it", { hint: "see there" });
      },
    );
    expect(findings).toMatchObject([
      { check: "underlay", level: "problem", what: "ipip0: no device has it", cure: "see there" },
    ]);
    expect(found).toHaveLength(1);
  });
});
