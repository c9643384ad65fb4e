// Checks: whether the devices of a running daemon are here, and up. In another network namespace
// all other checks would look at the wrong host.

import { check, type Found } from "../finding.js";
import { linkOf } from "../tunnel-facts.js";

export const tunnelDevice = check("tunnel-device", ({ host, tunnels, daemonPid }) => {
  if (daemonPid === undefined) return [];
  return tunnels.flatMap(({ name }): Found[] => {
    const link = linkOf(host, name);
    if (link === undefined) {
      return [
        {
          level: "problem",
          what: `this network namespace has no device ${name}`,
          consequence:
            "somebody deleted it, and the tunnel is dead; or the daemon runs in another namespace, and what is said here is not about it",
          cure: `nsenter -t ${daemonPid} -n culvert doctor; if it is missing there too, restart the daemon`,
          dev: name,
        },
      ];
    }
    if (link.up) return [];
    return [
      {
        level: "problem",
        what: `the device ${name} is down`,
        consequence: "the tunnel carries nothing",
        cure: `ip link set ${name} up`,
        dev: name,
      },
    ];
  });
});
