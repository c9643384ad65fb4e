// Checks: the kernel's reverse-path filter on tunnel devices (net.ipv4.conf.*.rp_filter,
// ip-sysctl.rst): it drops what came out of a tunnel and is counted nowhere that culvert sees.

import { check, type DoctorTunnel, type Found, type Host, type Situation } from "../finding.js";
import { carriesIpv4, linkOf, setSysctl, sysctlName } from "../tunnel-facts.js";

const STRICT = 1;
const LOOSE = 2;
const ALL = "net/ipv4/conf/all/rp_filter";

const COUNTED = "`nstat -az TcpExtIPReversePathFilter` counts them";

/** Where the filter of a device is set; one that is still to be made gets `default`. */
function pathOf(host: Host, name: string): string {
  const device = linkOf(host, name) === undefined ? "default" : name;
  return `net/ipv4/conf/${device}/rp_filter`;
}

/** What is in force: the kernel takes the larger of `all` and the device's own. */
function filterOf(host: Host, path: string): number {
  return Math.max(host.sysctl(ALL) ?? 0, host.sysctl(path) ?? 0);
}

/** The devices that IPv4 comes out of as far as routing is concerned: no ports of bridges. */
function routed({ host, tunnels }: Situation): readonly DoctorTunnel[] {
  return tunnels.filter(
    (tunnel) => carriesIpv4(tunnel) && linkOf(host, tunnel.name)?.master === undefined,
  );
}

export const strictReversePath = check("rp-filter-strict", (situation) => {
  const { host, tunnels } = situation;
  const consequence = `packets from inside the tunnel whose source is not routed back through its device are dropped; ${COUNTED}`;
  if (tunnels.length === 0) {
    const path = "net/ipv4/conf/default/rp_filter";
    if (filterOf(host, path) !== STRICT) return [];
    const what = `reverse-path filtering is strict on new devices (the larger of ${sysctlName(ALL)} and ${sysctlName(path)} is 1)`;
    return [{ level: "warning", what, consequence, cure: setSysctl(path, LOOSE) }];
  }
  return routed(situation).flatMap(({ name }): Found[] => {
    const path = pathOf(host, name);
    if (filterOf(host, path) !== STRICT) return [];
    const what = `reverse-path filtering is strict on ${name} (the larger of ${sysctlName(ALL)} and ${sysctlName(path)} is 1)`;
    return [{ level: "warning", what, consequence, cure: setSysctl(path, LOOSE), dev: name }];
  });
});

/** fib_validate_source: on a device without IPv4 address nothing but an exact way back will do. */
export const looseWithoutAddress = check("rp-filter-no-address", (situation) => {
  const { host } = situation;
  return routed(situation).flatMap(({ name }): Found[] => {
    const link = linkOf(host, name);
    if (link === undefined || filterOf(host, pathOf(host, name)) !== LOOSE) return [];
    const has = host.addresses().some((one) => one.ifindex === link.index && one.family === 4);
    if (has) return [];
    return [
      {
        level: "warning",
        what: `${name} has no IPv4 address, so its loose reverse-path filter (rp_filter 2) is as strict as 1`,
        consequence: `packets from inside the tunnel whose source is not routed back through ${name} are dropped; ${COUNTED}`,
        cure: `ip address add ADDRESS/32 dev ${name}, and \`addresses\` in the configuration`,
        dev: name,
      },
    ];
  });
});
