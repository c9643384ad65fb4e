// `culvert route`: what an IPIP tunnel sends where: the kernel's routes over its device as the data
// plane has them, and the outer destination that follows. They are set by `ip route`, the config or
// a routing daemon. A VXLAN tunnel forwards by MAC: its routes are the kernel's alone.

import type { Command } from "commander";
import type { RouteDecision } from "../control/route-target.js";
import { daemonClient, daemonOptions, operationsCommand } from "./command.js";
import { type CliIo, writeJson } from "./io.js";
import { type Grammar, parseWords } from "./keyword-args.js";
import { allRoutes, printRoutes } from "./route-show.js";

/** Routes are the kernel's: words that change them belong to `ip route`. */
function refusedFor(...words: string[]): Record<string, string> {
  const how = (word: string) =>
    `the routes are the kernel's: ip route ${word} PREFIX via NEXTHOP dev NAME onlink`;
  return Object.fromEntries(words.map((word) => [word, how(word)]));
}

const SHOW = {
  usage: "culvert route show [dev NAME]",
  values: { dev: "device" },
  refused: refusedFor("add", "replace", "change", "append", "del", "delete", "flush"),
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
          const { routePage } = daemonClient(options);
          const routes = await allRoutes(values, routePage);
          if (options.json) writeJson(io, routes);
          else printRoutes(io, routes);
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
          io.out(decisionText(decision));
        },
      },
    ],
    EXAMPLES,
  );
}

function decisionText({ to, dev, match, outer, nexthops, why }: RouteDecision): string {
  const hops = (nexthops ?? []).map((hop) => `    outer ${hop.outer} weight ${hop.weight}\n`);
  const one = nexthops === undefined ? ` outer ${outer}` : "";
  return `${to} dev ${dev}${one} match ${match}\n${hops.join("")}    ${why}\n`;
}
