// What IPIP tunnels receive on: each packet must reach one raw socket, since all that fit get a
// copy.

import { describe, expect, it } from "vitest";
import type { IpipMode } from "../../../src/config/effective.js";
import { textOf } from "../../../src/daemon/addresses.js";
import { ipipEndpoints } from "../../../src/daemon/open-ipip.js";
import { ip } from "../forwarding/frames.js";
import { controlContext } from "./control-context.js";

const { ipip, vxlan } = controlContext();

/** Sockets for tunnels of these local addresses and modes, as "address protocol". */
function endpointsOf(...tunnels: (readonly [local: string, mode: IpipMode])[]): string[] {
  const runtimes = tunnels.map(([local, mode]) => ({
    ...{ ...ipip, local: ip(local) },
    config: { ...ipip.config, mode },
  }));
  return ipipEndpoints([vxlan, ...runtimes])
    .map(({ family, protocol, local }) => `${textOf(local)} ${family} ${protocol}`)
    .sort();
}

describe("ipipEndpoints", () => {
  it("are one per address and protocol that is carried", () => {
    expect(endpointsOf()).toEqual([]);
    expect(
      endpointsOf(
        ["10.57.4.20", "ipip"],
        ["10.57.4.20", "any"],
        ["10.57.4.21", "sit"],
        ["fd57::20", "any"],
        ["fd57::21", "ipip6"],
      ),
    ).toEqual(
      ["10.57.4.20 4 4", "10.57.4.20 4 41", "10.57.4.21 4 41"].concat([
        "fd57::20 6 4",
        "fd57::20 6 41",
        "fd57::21 6 4",
      ]),
    );
  });

  it("leave out what the one for every address gets, of its protocol alone", () => {
    const specific = [
      ["10.57.4.20", "any"],
      ["fd57::20", "any"],
    ] as const;
    for (const order of [0, 1]) {
      const tunnels = [...specific];
      const wild = ["0.0.0.0", "ipip"] as const;
      const all = order === 0 ? [wild, ...tunnels] : [...tunnels, wild];
      const expected = ["0.0.0.0 4 4", "10.57.4.20 4 41", "fd57::20 6 4", "fd57::20 6 41"];
      expect(endpointsOf(...all)).toEqual(expected);
    }
  });
});
