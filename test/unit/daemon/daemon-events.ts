// The events of a ControlFixture as the daemon wires them, with what goes out kept: datagrams, log
// lines, and what one worker reports.

import { DaemonEvents } from "../../../src/daemon/events.js";
import { EventInbox } from "../../../src/events/event-inbox.js";
import { WorkerEvents } from "../../../src/events/worker-events.js";
import { type NetlinkMessage, parseMessages } from "../../../src/netlink/message.js";
import { createLogger } from "../../../src/telemetry/log.js";
import type { ControlFixture } from "./control-context.js";

export interface EventsFixture {
  readonly events: DaemonEvents;
  readonly reporter: WorkerEvents;
  /** Messages of the datagrams that listeners of rtnetlink got. */
  readonly notified: NetlinkMessage[];
  readonly logged: Record<string, unknown>[];
  /** What the socket answers to the next datagrams: -errno, or 0 for success. */
  readonly socket: { errno: number };
  /** Lets pending events and datagrams go out. */
  settle(): Promise<void>;
}

/** To be stopped by the test when it was started. */
export function daemonEvents({ tunnels, remotes, worker }: ControlFixture): EventsFixture {
  const inbox = new EventInbox(1, tunnels.length);
  const notified: NetlinkMessage[] = [];
  const logged: Record<string, unknown>[] = [];
  const socket = { errno: 0 };
  const log = createLogger({
    level: "info",
    format: "json",
    write: (line) => void logged.push(JSON.parse(line) as Record<string, unknown>),
  });
  const notify = (datagram: Uint8Array, length: number) => {
    if (socket.errno !== 0) return socket.errno;
    notified.push(...parseMessages(datagram.slice(0, length)));
    return length;
  };
  const events = new DaemonEvents({ tunnels, remotes, inbox, log, notify });
  const reporter = new WorkerEvents(inbox.workerState(0), worker);
  reporter.begin(1);
  const settle = async () => {
    inbox.drain();
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  };
  return { events, reporter, notified, logged, socket, settle };
}
