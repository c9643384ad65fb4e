// What a listener does for its one client, request by request: offers the tunnels of its daemon,
// runs one server half at a time, meters this host. Knows nothing of connections.

import { createControlClient } from "../control/client.js";
import type { StatusReport, TunnelStatus } from "../control/target.js";
import { CulvertError } from "../errors.js";
import { describeError } from "../testbed/error.js";
import { meterHosts } from "./meters.js";
import {
  type Answer,
  errorAnswer,
  type OfferedTunnel,
  PROTOCOL_VERSION,
  REMOTE_LIMITS,
  type Request,
} from "./remote-protocol.js";
import type { Place, WorkloadServer } from "./workload.js";
import { createWorkload, latencyTool } from "./workloads/all-workloads.js";

export interface SessionOptions {
  /** Where server halves run. */
  readonly place: Place;
  /** Their port, TCP and UDP. */
  readonly workloadPort: number;
  /** Control socket of the daemon on this host. */
  readonly socketPath: string;
}

type RequestOf<T extends Request["type"]> = Extract<Request, { type: T }>;

export class ListenerSession {
  readonly #options: SessionOptions;
  #greeted = false;
  #daemonPid: number | undefined;
  #half: WorkloadServer | undefined;
  #halfSeconds = 0;
  #stopMeters: ReturnType<typeof meterHosts> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** How long the client may be silent now. */
  get patience_ms(): number {
    if (!this.#greeted) return REMOTE_LIMITS.greeting_ms;
    return REMOTE_LIMITS.silence_ms + this.#halfSeconds * 1000;
  }

  /** Never throws: what goes wrong is an answer. */
  async answer(request: Request): Promise<Answer> {
    try {
      if (!this.#greeted && request.type !== "hello") return errorAnswer("hello comes first");
      switch (request.type) {
        case "hello":
          return await this.#hello(request);
        case "serve":
          return await this.#serve(request);
        case "stop":
          await this.end();
          return { type: "stop" };
        case "meter":
          this.#startMeters();
          return { type: "meter" };
        case "used":
          return this.#used();
      }
    } catch (error) {
      return errorAnswer(error instanceof CulvertError ? describeError(error) : String(error));
    }
  }

  /** Stops what runs. */
  async end(): Promise<void> {
    const half = this.#half;
    this.#half = undefined;
    this.#halfSeconds = 0;
    await half?.stop();
  }

  async #hello({ version }: RequestOf<"hello">): Promise<Answer> {
    if (version !== PROTOCOL_VERSION) {
      return errorAnswer(`the listener speaks version ${PROTOCOL_VERSION}, not ${version}`);
    }
    this.#greeted = true;
    const greeting = { type: "hello", version: PROTOCOL_VERSION, latency: latencyTool() } as const;
    try {
      const { pid, tunnels }: StatusReport = await createControlClient(this.#options).status();
      this.#daemonPid = pid;
      return { ...greeting, tunnels: tunnels.filter(({ up }) => up).map(offeredTunnel) };
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      return { ...greeting, tunnels: [], problem: error.message.slice(0, 2_000) };
    }
  }

  async #serve({ workload, seconds, latency }: RequestOf<"serve">): Promise<Answer> {
    await this.end();
    const { place, workloadPort } = this.#options;
    const made = createWorkload(workload, { latency });
    const reason = made.unsupported();
    if (reason !== undefined) return errorAnswer(reason);
    this.#half = await made.serve(place, workloadPort, seconds);
    this.#halfSeconds = seconds;
    return { type: "serve", port: this.#half.port };
  }

  #startMeters(): void {
    const pid = this.#daemonPid;
    this.#stopMeters = meterHosts(
      pid === undefined ? {} : { daemons: { client: [], server: [pid] } },
    );
  }

  #used(): Answer {
    if (this.#stopMeters === undefined) return errorAnswer("meter comes first");
    const { machineCpu_s, daemonCpu_s } = this.#stopMeters();
    this.#stopMeters = undefined;
    return {
      type: "used",
      // A process that ended takes its CPU time out of the sum.
      machineCpu_s: Math.max(0, machineCpu_s),
      ...(daemonCpu_s && { daemonCpu_s: Math.max(0, daemonCpu_s.server) }),
    };
  }
}

/** What both ends say of a tunnel to find the ones they share. */
export function offeredTunnel(tunnel: TunnelStatus): OfferedTunnel {
  const { name, type, vni, port, addresses } = tunnel;
  return {
    ...{ name, type },
    ...(vni !== undefined && { vni }),
    ...(port !== undefined && { port }),
    addresses: addresses
      .map((address) => address.split("/")[0]!)
      .filter((address) => !/^fe[89ab]/i.test(address))
      .slice(0, REMOTE_LIMITS.addresses),
  };
}
