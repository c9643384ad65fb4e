// Every check of `culvert doctor`, in the order in which they are run. A new one is a line here, a
// row in docs/doctor.md, and a test.

import type { Check } from "../finding.js";
import { kernelModules, kernelTunnels } from "./beside.js";
import { tunnelDevice } from "./devices.js";
import { forwardingIpv4, forwardingIpv6 } from "./forwarding.js";
import { mergedUdp } from "./offloads.js";
import { looseWithoutAddress, strictReversePath } from "./reverse-path.js";
import { mtu, noRoute, recursion } from "./routes.js";
import { capabilities, tunDevice } from "./start.js";

export const ALL_CHECKS: readonly Check[] = [
  ...[tunDevice, capabilities, tunnelDevice],
  ...[kernelTunnels, kernelModules],
  ...[strictReversePath, looseWithoutAddress, forwardingIpv4, forwardingIpv6],
  ...[mergedUdp, noRoute, recursion, mtu],
];
