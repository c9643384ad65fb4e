// Checks: whether the kernel forwards between tunnel devices and the others of this host. Without
// it only the host itself can use a tunnel.

import { check, type DoctorTunnel, type Found, type Host, type Situation } from "../finding.js";
import { carriesIpv4, carriesIpv6, linkOf, setSysctl, sysctlName } from "../tunnel-facts.js";

const ONLY_US = "only this host itself can use the tunnel, not its containers and pods";

/** Devices of tunnels that packets are routed to and from: no ports of bridges. */
function routed({ host, tunnels }: Situation): readonly DoctorTunnel[] {
  return tunnels.filter(({ name }) => linkOf(host, name)?.master === undefined);
}

/** A finding where forwarding is off; `global` where it is off for all devices to come as well. */
function offOn(host: Host, global: string, family: "ipv4" | "ipv6", names: string[]): Found[] {
  if (names.length === 0) return [];
  if (host.sysctl(global) === 0) {
    const what = `${sysctlName(global)} is 0: the host does not forward ${family === "ipv4" ? "IPv4" : "IPv6"}`;
    return [{ level: "warning", what, consequence: ONLY_US, cure: setSysctl(global, 1) }];
  }
  return names.flatMap((name): Found[] => {
    const path = `net/${family}/conf/${name}/forwarding`;
    if (host.sysctl(path) !== 0) return [];
    const what = `${sysctlName(path)} is 0: what comes out of the tunnel is not forwarded`;
    const cure = setSysctl(path, 1);
    return [{ level: "warning", what, consequence: ONLY_US, cure, dev: name }];
  });
}

export const forwardingIpv4 = check("forwarding-ipv4", (situation) => {
  const { host, tunnels } = situation;
  const path = "net/ipv4/ip_forward";
  // Without tunnels: for those that will come.
  const names = routed(situation)
    .filter(carriesIpv4)
    .map(({ name }) => name);
  return offOn(host, path, "ipv4", tunnels.length === 0 ? ["default"] : names);
});

/** Where there is IPv6 to forward: on most hosts forwarding of IPv6 is off, and nobody wants it. */
export const forwardingIpv6 = check("forwarding-ipv6", (situation) => {
  const { host } = situation;
  const hasGlobal = (name: string): boolean => {
    const index = linkOf(host, name)?.index;
    return host
      .addresses()
      .some(({ ifindex, family, scope }) => ifindex === index && family === 6 && scope === 0);
  };
  const names = routed(situation)
    .filter((tunnel) => carriesIpv6(tunnel) && hasGlobal(tunnel.name))
    .map(({ name }) => name);
  return offOn(host, "net/ipv6/conf/all/forwarding", "ipv6", names);
});
