// Short TCP connections, one after the other: connect, one byte each way, close. The client closes
// by a reset, so that no end keeps a port in TIME-WAIT: a few seconds would use all of them up.

import { TestbedError } from "../../testbed/error.js";
import type { Workload } from "../workload.js";
import type { ConnectionsResult } from "./peer.js";
import { runPeer, servePeer } from "./peer-process.js";

export function connectionsWorkload(): Workload {
  return {
    id: "connections",
    unsupported: () => undefined,
    serve: (at, port, seconds) => servePeer(at, "tcp", port, seconds),
    run: async (options) => {
      const { connections, seconds } = await runPeer<ConnectionsResult>("connections", options);
      if (connections === 0) throw new TestbedError("no connection was made");
      return { values: { connections_per_s: connections / seconds } };
    },
  };
}
