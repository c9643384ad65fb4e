// A variant between the two hosts that this machine plays itself: brought up for its turn, with
// both ends metered.

import type { Cleanup } from "../testbed/cleanup.js";
import { TestbedError } from "../testbed/error.js";
import { pingUntilAnswered } from "../testbed/ping.js";
import { type Tunnel, withTunnel } from "../testbed/tunnel.js";
import { createTunnel, type VariantName, variants } from "../testbed/tunnels.js";
import { type TwoHosts, underlayDevice } from "../testbed/two-hosts.js";
import { type MeteredHosts, wireCounters } from "./meters.js";
import { type Path, type PathVariant, pathBetweenPlaces } from "./path.js";

export interface LocalBed {
  readonly hosts: TwoHosts;
  readonly cleanup: Cleanup;
  /** The underlay devices get packets as a wire would: their counters tell the overhead. */
  readonly finishedPackets: boolean;
}

export class LocalVariant implements PathVariant {
  readonly name: VariantName;
  readonly title: string;
  readonly #bed: LocalBed;

  constructor(name: VariantName, bed: LocalBed) {
    this.name = name;
    this.title = variants[name].title;
    this.#bed = bed;
  }

  /** Why this machine cannot have it; undefined when it can. */
  unsupported(): string | undefined {
    return this.#tunnel().unsupported();
  }

  withPath<T>(body: (path: Path) => Promise<T>): Promise<T> {
    const tunnel = this.#tunnel();
    return withTunnel(tunnel, async () => {
      const { client, server, address } = tunnel.ends;
      if (!(await pingUntilAnswered(client, address))) {
        throw new TestbedError(`no answer from ${address} to five pings`);
      }
      const { pids, ready_ms } = tunnel;
      const daemons = { pids, ...(ready_ms !== undefined && { ready_ms }) };
      return body(
        pathBetweenPlaces({
          ...{ client, server, address, hosts: this.#metered(tunnel) },
          ...(pids.length > 0 && { daemons }),
        }),
      );
    });
  }

  #tunnel(): Tunnel {
    return createTunnel(this.name, this.#bed.hosts, this.#bed.cleanup);
  }

  #metered({ pids: [left, right] }: Tunnel): MeteredHosts {
    const { hosts, finishedPackets } = this.#bed;
    const { left: client, right: server } = hosts;
    return {
      ...(left !== undefined &&
        right !== undefined && { daemons: { client: [left], server: [right] } }),
      ...(finishedPackets && {
        wire: {
          client: wireCounters(client.host, underlayDevice),
          server: wireCounters(server.host, underlayDevice),
        },
      }),
    };
  }
}
