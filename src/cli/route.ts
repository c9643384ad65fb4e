// `culvert route`: what an IPIP tunnel sends where: its routes and the outer destination that
// follows. A VXLAN tunnel forwards by MAC: its routes are the kernel's alone (`ip route`).

import type { Command } from "commander";
import type { RouteEntry } from "../control/target.js";
import { daemonClient, daemonOptions, operationsCommand } from "./command.js";
import { type CliIo, writeJson } from "./io.js";
import { type Grammar, parseWords } from "./keyword-args.js";

const SHOW = {
  usage: "culvert route show [dev NAME]",
  values: { dev: "device" },
  refused: {
    add: "routes are those of the configuration: add it there and restart the daemon",
  },
} as const satisfies Grammar;

const GET = {
  usage: "culvert route get IP [dev NAME]",
  values: { to: "ip", dev: "device" },
  bare: "to",
  required: ["to"],
} as const satisfies Grammar;

const EXAMPLES = `
Examples:
  culvert route show dev ipip0
  culvert route get 192.168.11.10`;

/** The `route` command. */
export function routeCommand(io: CliIo): Command {
  return operationsCommand(
    "route",
    "show what an ipip tunnel uses: prefixes, next hops, outer destinations",
    [
      {
        name: "show",
        alias: "list",
        summary: "print the routes of ipip tunnels",
        words: "[dev NAME]",
        grammar: SHOW,
        run: async (words, command) => {
          const { values } = parseWords(words, SHOW);
          const options = daemonOptions(command);
          const entries = await daemonClient(options).routeShow(values);
          if (options.json) writeJson(io, entries);
          else io.out(entries.map(routeLine).join(""));
        },
      },
      {
        name: "get",
        summary: "print where a packet to this address goes, and why",
        words: "IP [dev NAME]",
        grammar: GET,
        run: async (words, command) => {
          const { values } = parseWords(words, GET);
          const options = daemonOptions(command);
          const decision = await daemonClient(options).routeGet({
            to: values.to as string,
            dev: values.dev,
          });
          if (options.json) {
            writeJson(io, decision);
            return;
          }
          const { to, dev, match, outer, why } = decision;
          io.out(`${to} dev ${dev} outer ${outer} match ${match}\n    ${why}\n`);
        },
      },
    ],
    EXAMPLES,
  );
}

function routeLine(entry: RouteEntry): string {
  const via = entry.via === undefined ? "" : ` via ${entry.via}`;
  return `${entry.to}${via} dev ${entry.dev} source ${entry.source}\n`;
}
