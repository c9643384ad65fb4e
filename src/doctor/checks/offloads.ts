// Checks: offloads of underlay devices that spoil what comes through a raw socket.

import { check, type Found } from "../finding.js";
import { underlayLinks } from "../tunnel-facts.js";

/**
 * With each of them GRO joins UDP datagrams that no socket of this host asked to have joined
 * (udp_gro_receive, net/ipv4/udp_offload.c), those inside an IPIP packet too.
 */
const JOINING = ["rx-udp-gro-forwarding", "rx-gro-list"];
/** Without it nothing is joined, whatever those say. */
const GRO = "rx-gro";

export const udpGro = check("udp-gro", ({ host, tunnels }) => {
  const spoilt = new Map<string, string[]>();
  for (const tunnel of tunnels) {
    if (tunnel.type !== "ipip") continue;
    for (const { name } of underlayLinks(host, tunnel)) {
      spoilt.set(name, [...(spoilt.get(name) ?? []), tunnel.name]);
    }
  }
  return Array.from(spoilt).flatMap(([dev, names]): Found[] => {
    const on = JOINING.filter((feature) => host.feature(dev, feature));
    if (on.length === 0 || !host.feature(dev, GRO)) return [];
    return [
      {
        level: "problem",
        what: `${on.join(" and ")} ${on.length === 1 ? "is" : "are"} on for ${dev}, which carries ${names.join(", ")}`,
        consequence:
          "UDP datagrams inside arrive joined, their size lost, and are dropped (`culvert counters`: merged-udp)",
        cure: `ethtool -K ${dev} ${on.map((feature) => `${feature} off`).join(" ")}`,
        dev,
      },
    ];
  });
});
