// A short soak (soak/soak.ts): random and damaged frames both ways through whole data planes.
// `npm run bench:scale -- fuzz` is the long one.

import { expect, it } from "vitest";
import { soak } from "./soak/soak.js";

const frames = 200_000;

it.each([0x5eed, 0xfade])(
  "soak, seed %i: nothing throws, every packet is counted once",
  { timeout: 60_000 },
  (seed) => {
    const totals = soak({ seed, frames });
    expect(totals.frames).toBe(frames);
    // The input has to reach every path, else it was not random enough.
    const { sent, written, answered, icmpErrors } = totals;
    const reached = { sent, written, answered, icmpErrors };
    for (const [name, count] of Object.entries(reached)) expect(count, name).toBeGreaterThan(1000);
    expect(Object.keys(totals.drops).sort()).toEqual(
      expect.arrayContaining([
        "egress gso-unsupported",
        "egress l2miss",
        "egress l3miss",
        "egress malformed",
        "egress no-remotes",
        "egress no-route",
        "egress not-ip",
        "egress routing-loop",
        "egress runt-frame",
        "egress too-big",
        "egress ttl-expired",
        "egress underlay-busy",
        "egress underlay-error",
        "ingress bad-flags",
        "ingress device-busy",
        "ingress device-error",
        "ingress ecn",
        "ingress foreign-source",
        "ingress inner-checksum",
        "ingress inner-malformed",
        "ingress inner-not-ip",
        "ingress inner-vlan",
        "ingress invalid-source-mac",
        "ingress martian-source",
        "ingress merged-udp",
        "ingress no-tunnel",
        "ingress not-ipip",
        "ingress own-source",
        "ingress static-mac-moved",
        "ingress truncated",
        "ingress ttl-zero",
        "ingress unknown-vni",
      ]),
    );
  },
);
