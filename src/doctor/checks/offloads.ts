// Checks: offloads of underlay devices that spoil what comes through a raw socket.

import { check, type Found } from "../finding.js";
import { underlayLinks } from "../tunnel-facts.js";

const FEATURE = "rx-udp-gro-forwarding";

export const mergedUdp = check("udp-gro-forwarding", ({ host, tunnels }) => {
  const spoilt = new Map<string, string[]>();
  for (const tunnel of tunnels) {
    if (tunnel.type !== "ipip") continue;
    for (const { name } of underlayLinks(host, tunnel)) {
      if (host.feature(name, FEATURE) !== true) continue;
      spoilt.set(name, [...(spoilt.get(name) ?? []), tunnel.name]);
    }
  }
  return Array.from(spoilt, ([dev, names]): Found => {
    return {
      level: "problem",
      what: `${FEATURE} is on for ${dev}, which carries ${names.join(", ")}`,
      consequence:
        "UDP datagrams inside arrive joined, their size lost, and are dropped (`culvert counters`: merged-udp)",
      cure: `ethtool -K ${dev} ${FEATURE} off`,
      dev,
    };
  });
});
