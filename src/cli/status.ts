// `culvert status`: the daemon, the offloads in force, its tunnels and their remotes.

import { Command } from "commander";
import type { RouteTunnelStatus } from "../control/route-target.js";
import type { Loss, RemoteStatus, StatusReport, TunnelStatus } from "../control/target.js";
import { type Align, formatTable } from "../text-table.js";
import { daemonClient, daemonOptions, withDaemonOptions } from "./command.js";
import { type CliIo, writeJson } from "./io.js";
import { formatBytes, formatDuration, formatRtt, formatShare } from "./units.js";

const EXAMPLES = `
Examples:
  culvert status
  culvert status -j | jq '.tunnels[].remotes[] | select(.last_seen_s_ago == null)'

A remote is up while it answers keepalives, as only culvert does; "unknown" says nothing more than
that it never answered. loss is of packets to it and from it, an estimate over the last minute; pmtu
is the largest outer packet that reaches it whole.`;

/** The `status` command. */
export function statusCommand(io: CliIo): Command {
  return withDaemonOptions(new Command("status"))
    .description("show tunnels, devices, remotes and the offloads in force")
    .addHelpText("after", EXAMPLES)
    .action(async (_options, command: Command) => {
      const options = daemonOptions(command);
      const report = await daemonClient(options).status();
      if (options.json) writeJson(io, report);
      else io.out(formatStatus(report));
    });
}

/** The report as text; ends in a newline. */
export function formatStatus(report: StatusReport): string {
  const head =
    `culvert ${report.version}, pid ${report.pid}, up ${formatDuration(report.uptime_s)}, ` +
    `${report.workers} ${report.workers === 1 ? "worker" : "workers"}\n`;
  const tunnels = [
    ...report.tunnels.map(formatTunnel),
    ...report.route_tunnels.map(formatRouteTunnel),
  ];
  if (tunnels.length === 0) tunnels.push("\nno tunnels\n");
  return head + formatOffloads(report) + tunnels.join("");
}

/**
 * `offloads: tso4 uso` on one line, then one line for each feature that is off, with its reason.
 */
function formatOffloads(report: StatusReport): string {
  const all = Object.entries(report.offloads);
  const on = all.filter(([, state]) => state.enabled).map(([name]) => name);
  const off = all.filter(([, state]) => !state.enabled);
  const rows = off.map(([name, state]) => [`${name} off`, state.reason ?? "no reason given"]);
  return `offloads: ${on.length === 0 ? "none" : on.join(" ")}\n${formatTable(rows, ["left", "left"], { indent: 2 })}`;
}

function formatTunnel(tunnel: TunnelStatus): string {
  const words = [`${tunnel.name}:`, tunnel.type];
  if (tunnel.vni !== undefined) words.push("vni", String(tunnel.vni));
  // With the mode that the family of `local` has by itself there is nothing to say.
  const plain = tunnel.local.includes(":") ? "ipip6" : "ipip";
  if (tunnel.mode !== undefined && tunnel.mode !== plain) words.push("mode", tunnel.mode);
  if (tunnel.remote !== undefined) words.push("remote", tunnel.remote);
  words.push("local", tunnel.local);
  if (tunnel.port !== undefined) words.push("port", String(tunnel.port));
  words.push("mtu", String(tunnel.mtu_bytes));
  if (tunnel.mac !== undefined) words.push("mac", tunnel.mac);
  words.push(tunnel.up ? "UP" : "DOWN");
  const addresses = tunnel.addresses.length === 0 ? "none" : tunnel.addresses.join(" ");
  return (
    `\n${words.join(" ")}\n  addresses ${addresses}\n` +
    `  entries   fdb ${tunnel.fdb_entries}, neigh ${tunnel.neigh_entries}, routes ${tunnel.route_entries}\n` +
    formatRouteProblems(tunnel) +
    formatNotices(tunnel) +
    formatRemotes(tunnel.remotes) +
    formatPlainRoutes("direct", tunnel.direct_routes ?? [])
  );
}

/** Why routes of the kernel are not in use. */
function formatRouteProblems({ route_problems }: TunnelStatus): string {
  if (route_problems === undefined) return "";
  const { unreachable, recursive, beyond_limits } = route_problems;
  const texts: string[] = [];
  if (unreachable > 0) texts.push(`${unreachable} with an unreachable next hop`);
  if (recursive.length > 0) texts.push(`through the tunnel itself: ${recursive.join(", ")}`);
  if (beyond_limits > 0) texts.push(`${beyond_limits} beyond the limits`);
  return `  routes not used: ${texts.join("; ")}\n`;
}

/** What on this host gets in the tunnel's way: a line for the finding, one for its cure. */
function formatNotices({ notices = [] }: TunnelStatus): string {
  const lines = notices.map(
    ({ what, consequence, cure }) => `  notice    ${what}: ${consequence}\n  cure      ${cure}\n`,
  );
  return lines.join("");
}

function formatRouteTunnel({ name, routes }: RouteTunnelStatus): string {
  return `\n${name}: route\n${formatPlainRoutes("to", routes)}`;
}

/** Routes without encapsulation, under the title `title`. */
function formatPlainRoutes(
  title: string,
  routes: readonly RouteTunnelStatus["routes"][number][],
): string {
  if (routes.length === 0) return "";
  const rows = routes.map(({ to, via, dev, metric, state }) => [
    ...[to, via, dev ?? "-", metric === 0 ? "-" : String(metric), state],
  ]);
  const titles = [title, "via", "dev", "metric", "state"];
  const align: Align[] = ["left", "left", "left", "right", "left"];
  return formatTable([titles, ...rows], align, { indent: 2 });
}

/** Traffic in packets is `culvert counters`: a line shall fit a terminal of 100 columns. */
function formatRemotes(remotes: readonly RemoteStatus[]): string {
  if (remotes.length === 0) return "  no remotes\n";
  const titles = [
    "remote",
    "state",
    "last seen",
    "rtt",
    "loss",
    "macs",
    "pmtu",
    "egress",
    "ingress",
  ];
  const rows = remotes.map((remote) => [
    remoteName(remote),
    isGroup(remote) ? "-" : (remote.state ?? "-"),
    isGroup(remote) ? "-" : formatLastSeen(remote.last_seen_s_ago),
    remote.rtt_us === undefined || remote.rtt_us === null ? "-" : formatRtt(remote.rtt_us),
    formatLoss(remote.loss),
    remote.macs === undefined ? "-" : String(remote.macs),
    String(remote.pmtu_bytes),
    formatBytes(remote.egress.bytes),
    formatBytes(remote.ingress.bytes),
    remote.flags.join(","),
  ]);
  const numbers = Array.from({ length: titles.length - 2 }, () => "right" as const);
  const align: Align[] = ["left", "left", ...numbers, "left"];
  const table = formatTable([[...titles, "flags"], ...rows], align, { indent: 2 });
  return table + remotes.map(formatUnreachable).join("");
}

/** A line of its own for what ICMP says of a peer: a column would be empty on most days. */
function formatUnreachable(remote: RemoteStatus): string {
  if (remote.unreachable === undefined) return "";
  const { error, from, s_ago, count } = remote.unreachable;
  const times = count === 1 ? "" : `, ${count} times`;
  const whence = from === null ? "" : ` from ${from}`;
  return `  ${remoteName(remote)}: ${error}${whence}, ${formatDuration(s_ago)} ago${times}\n`;
}

/** Packets are sent to a multicast group, and come from its members alone. */
function isGroup(remote: RemoteStatus): boolean {
  return remote.flags.includes("group");
}

function formatLastSeen(seconds: number | null): string {
  return seconds === null ? "never" : `${formatDuration(seconds)} ago`;
}

/** `0/1.5%`: of packets to the peer, of those from it. */
function formatLoss(loss: Loss | undefined): string {
  if (loss === undefined || (loss.egress === null && loss.ingress === null)) return "-";
  const percent = (share: number | null) => (share === null ? "-" : formatShare(share));
  return `${percent(loss.egress)}/${percent(loss.ingress)}%`;
}

/**
 * `10.57.4.21`, `10.57.4.21:8472`, `[fd00::2]:8472 vni 7`: port and VNI only where the daemon
 * reports them.
 */
export function remoteName(remote: {
  address: string;
  port?: number | undefined;
  vni?: number | undefined;
}): string {
  const { address, port, vni } = remote;
  const host = address.includes(":") && port !== undefined ? `[${address}]` : address;
  return `${host}${port === undefined ? "" : `:${port}`}${vni === undefined ? "" : ` vni ${vni}`}`;
}
