// The MAC of `mac: auto`: the same for ever, unlike for unlike hosts and tunnels.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stableMac } from "../../../src/config/tunnel-mac.js";

const identity = {
  machineId: "b08dfa6083e7567a1921a715000001fb",
  name: "vxlan100",
  vni: 100,
  local: "10.57.4.20",
};

describe("stableMac", () => {
  it("never changes between releases", () => {
    // sha256 of the identity's JSON, first six bytes, by sha256sum(1): see the test below for the
    // two flag bits.
    expect(stableMac(identity)).toBe("92:86:67:9b:d8:73");
  });

  it("ignores the line feed of /etc/machine-id and the spelling of the address", () => {
    expect(stableMac({ ...identity, machineId: `${identity.machineId}\n` })).toBe(
      stableMac(identity),
    );
    expect(stableMac({ ...identity, local: "FD00:0::1" })).toBe(
      stableMac({ ...identity, local: "fd00::1" }),
    );
  });

  it("differs by machine-id, name, VNI and local address", () => {
    const macs = [
      stableMac(identity),
      stableMac({ ...identity, machineId: "b08dfa6083e7567a1921a715000001fc" }),
      stableMac({ ...identity, name: "vxlan101" }),
      stableMac({ ...identity, vni: 101 }),
      stableMac({ ...identity, local: "10.57.4.21" }),
    ];
    expect(new Set(macs).size).toBe(macs.length);
  });

  it("is a locally administered unicast address for every identity", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.nat(),
        fc.string(),
        (machineId, name, vni, local) => {
          const mac = stableMac({ machineId, name, vni, local });
          expect(mac).toMatch(/^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
        },
      ),
      { numRuns: 200 },
    );
  });
});
