// Two hosts for interop: culvert on the left one, the kernel's own vxlan device on the right one,
// IPv4 and IPv6 pods behind both. The underlay is IPv4 or IPv6; pods use addresses of
// src/testbed/two-hosts.ts and those below.

import type { Cleanup } from "../../src/testbed/cleanup.js";
import { Daemon } from "../../src/testbed/daemon.js";
import { vni, vxlanPort } from "../../src/testbed/tunnel.js";
import {
  createTwoHosts,
  type HostSide,
  type OffloadMode,
  podDevice,
  type TwoHosts,
  underlayDevice,
} from "../../src/testbed/two-hosts.js";

export type Family = 4 | 6;

/** IPv6 addresses of a side; the pod's host is its gateway. */
interface Ipv6Addresses {
  underlayIp: string;
  podIp: string;
  podGateway: string;
  podNetwork: string;
  overlayIp: string;
}

export const left6: Ipv6Addresses = {
  underlayIp: "fd57::20",
  podIp: "fd10::10",
  podGateway: "fd10::1",
  podNetwork: "fd10::/64",
  overlayIp: "fdee::1",
};

export const right6: Ipv6Addresses = {
  underlayIp: "fd57::21",
  podIp: "fd11::10",
  podGateway: "fd11::1",
  podNetwork: "fd11::/64",
  overlayIp: "fdee::2",
};

export const kernelMac = "02:00:00:00:00:0b";
export const culvertMac = "02:00:00:00:00:0a";

function addIpv6(side: HostSide, addresses: Ipv6Addresses): void {
  const { host, pod } = side;
  host.sysctl("net.ipv6.conf.all.forwarding", 1);
  host.ip("addr", "add", `${addresses.underlayIp}/64`, "dev", underlayDevice, "nodad");
  host.ip("addr", "add", `${addresses.podGateway}/64`, "dev", podDevice, "nodad");
  pod.ip("addr", "add", `${addresses.podIp}/64`, "dev", "eth0", "nodad");
  pod.ip("route", "add", "default", "via", addresses.podGateway, "dev", "eth0");
}

/** Both hosts with the underlay and pods of both families; no tunnel yet. */
export function createDualStackHosts(cleanup: Cleanup, offloads: OffloadMode): TwoHosts {
  const hosts = createTwoHosts(cleanup, { offloads });
  addIpv6(hosts.left, left6);
  addIpv6(hosts.right, right6);
  return hosts;
}

function underlayIps(hosts: TwoHosts, family: Family): { local: string; remote: string } {
  if (family === 6) return { local: left6.underlayIp, remote: right6.underlayIp };
  return { local: hosts.left.underlayIp, remote: hosts.right.underlayIp };
}

/**
 * The kernel's vxlan device on the right host, with addresses and routes to the pods on the left.
 * @param options more words for ip(8)
 */
export function addKernelVxlan(
  hosts: TwoHosts,
  family: Family,
  options: readonly string[] = [],
): void {
  const { left, right } = hosts;
  const { local, remote } = underlayIps(hosts, family);
  right.host.ip(
    ...["link", "add", "vxlan100", "address", kernelMac, "type", "vxlan", "id", String(vni)],
    ...["local", remote, "remote", local, "dev", underlayDevice, "dstport", String(vxlanPort)],
    ...options,
  );
  right.host.ip("addr", "add", `${right.overlayIp}/24`, "dev", "vxlan100");
  right.host.ip("addr", "add", `${right6.overlayIp}/64`, "dev", "vxlan100", "nodad");
  right.host.ip("link", "set", "vxlan100", "up");
  const gateway = ["dev", "vxlan100", "onlink"];
  right.host.ip("route", "add", left.podNetwork, "via", left.overlayIp, ...gateway);
  right.host.ip("route", "add", left6.podNetwork, "via", left6.overlayIp, ...gateway);
}

/**
 * culvert on the left host; `extra` is YAML that stands before `tunnels:`, `lines` more of the
 * tunnel.
 */
export function startCulvertVxlan(
  hosts: TwoHosts,
  cleanup: Cleanup,
  family: Family,
  extra = "",
  lines: readonly string[] = [],
): Promise<Daemon> {
  const { left, right } = hosts;
  const { local, remote } = underlayIps(hosts, family);
  const config = `${extra}
tunnels:
  - name: vxlan100
    type: vxlan
    vni: ${vni}
    local: "${local}"
    mac: "${culvertMac}"
    addresses: [${left.overlayIp}/24, "${left6.overlayIp}/64"]
    routes:
      - { to: ${right.podNetwork}, via: ${right.overlayIp}, onlink: true }
      - { to: "${right6.podNetwork}", via: "${right6.overlayIp}" }
    remotes: ["${remote}"]
${lines.map((line) => `    ${line}\n`).join("")}`;
  return Daemon.start({ namespace: left.host, cleanup, config });
}
