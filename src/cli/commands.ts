// Every command with its summary, and how its file is loaded: only the one that is asked for.

import type { Command } from "commander";
import type { ExitStatus } from "../errors.js";
import type { CliIo } from "./io.js";

export interface CommandContext {
  readonly io: CliIo;
  /** Sets the exit status of a command that ends without an error; 0 unless called. */
  readonly finish: (status: ExitStatus) => void;
  /**
   * The program as `argv` would build it, with the command that `argv` names loaded; runs nothing.
   */
  readonly program: (argv: readonly string[]) => Promise<Command>;
}

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: (context: CommandContext) => Promise<Command>;
}

/** In the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "run",
    summary: "run the daemon in the foreground",
    load: async ({ finish }) => (await import("./run.js")).runCommand(finish),
  },
  {
    name: "check",
    summary: "validate a configuration file and print what it means",
    load: async ({ io, finish }) => (await import("./check.js")).checkCommand(io, finish),
  },
  {
    name: "status",
    summary: "tunnels, devices, remotes, offloads in force",
    load: async ({ io }) => (await import("./status.js")).statusCommand(io),
  },
  {
    name: "fdb",
    summary: "forwarding entries, in the words of `bridge fdb`",
    load: async ({ io, finish }) => (await import("./fdb.js")).fdbCommand(io, finish),
  },
  {
    name: "neigh",
    summary: "neighbours, in the words of `ip neigh`",
    load: async ({ io, finish }) => (await import("./neigh.js")).neighCommand(io, finish),
  },
  {
    name: "route",
    summary: "what a routed tunnel uses, and for which destination",
    load: async ({ io }) => (await import("./route.js")).routeCommand(io),
  },
  {
    name: "counters",
    summary: "packets, bytes and drops, per tunnel, peer and reason",
    load: async ({ io }) => (await import("./counters.js")).countersCommand(io),
  },
  {
    name: "monitor",
    summary: "changes of entries, misses and peers as they happen",
    load: async ({ io }) => (await import("./monitor.js")).monitorCommand(io),
  },
  {
    name: "doctor",
    summary: "known traps on this host, each with its cure",
    load: async ({ io, finish }) => (await import("./doctor.js")).doctorCommand(io, finish),
  },
  {
    name: "bench",
    summary: "what encapsulation costs, against the kernel's own devices",
    load: async ({ io, finish }) => (await import("./bench.js")).benchCommand(io, finish),
  },
  {
    name: "completion",
    summary: "print a script that completes culvert's words in a shell",
    load: async ({ io, program }) =>
      (await import("./completion.js")).completionCommand(io, program),
  },
];
