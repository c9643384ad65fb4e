// `culvert counters` as text: totals, and with an earlier report the rates between the two.

import type {
  CountersReport,
  DropCount,
  EventCount,
  PeerCounters,
  PeerDropCount,
  Traffic,
  TunnelCounters,
} from "../control/target.js";
import { type Align, formatTable, namesAndNumbers } from "../text-table.js";
import { remoteName } from "./status.js";
import { formatBitrate, formatBytes, formatCount } from "./units.js";

export interface CountersView {
  /** Also drop reasons and events that never happened. */
  all: boolean;
  /** An earlier report and the seconds since; absent: totals only. */
  earlier?: { report: CountersReport; elapsed_s: number } | undefined;
}

type Rate = (now: number, before: number | undefined) => number | undefined;

/** The report as text; ends in a newline. */
export function formatCounters(report: CountersReport, view: CountersView): string {
  const rate: Rate = (now, before) => {
    if (view.earlier === undefined || before === undefined || now < before) return undefined;
    return (now - before) / view.earlier.elapsed_s;
  };
  const blocks = report.tunnels.map((tunnel) => {
    const before = view.earlier?.report.tunnels.find((other) => other.name === tunnel.name);
    return (
      `${tunnel.name}\n${formatTraffic(tunnel, before, view, rate)}` +
      formatCounts("drops", tunnel.drops.map(dropRow), before?.drops.map(dropRow), view, rate) +
      formatPeerDrops(tunnel, before, view, rate) +
      formatCounts("events", tunnel.events.map(eventRow), before?.events.map(eventRow), view, rate)
    );
  });
  const earlierDrops = view.earlier?.report.drops.map(dropRow);
  const rest = formatCounts("drops", report.drops.map(dropRow), earlierDrops, view, rate);
  if (rest !== "") blocks.push(`no tunnel\n${rest}`);
  return blocks.length === 0 ? "no tunnels\n" : blocks.join("\n");
}

/** One row for the tunnel as a whole, one for each of its peers. */
function formatTraffic(
  tunnel: TunnelCounters,
  before: TunnelCounters | undefined,
  view: CountersView,
  rate: Rate,
): string {
  const watching = view.earlier !== undefined;
  const cells = (traffic: Traffic, earlier: Traffic | undefined) => [
    formatCount(traffic.packets),
    ...(watching ? [perSecond(rate(traffic.packets, earlier?.packets))] : []),
    formatBytes(traffic.bytes),
    ...(watching ? [bitrate(rate(traffic.bytes, earlier?.bytes))] : []),
  ];
  const row = (name: string, now: TrafficPair, earlier: TrafficPair | undefined) => [
    name,
    ...cells(now.egress, earlier?.egress),
    ...cells(now.ingress, earlier?.ingress),
  ];
  const titles = (direction: string) =>
    watching ? [`${direction} pkts`, "pkt/s", "bytes", "rate"] : [`${direction} pkts`, "bytes"];
  const rows = [
    ["", ...titles("egress"), ...titles("ingress")],
    row("total", tunnel, before),
    ...tunnel.peers.map((peer) => row(remoteName(peer), peer, samePeer(before, peer))),
  ];
  return formatTable(rows, namesAndNumbers(rows[0].length), { indent: 2 });
}

/** One row for each reason that packets to or from a peer were dropped for. */
function formatPeerDrops(
  tunnel: TunnelCounters,
  before: TunnelCounters | undefined,
  view: CountersView,
  rate: Rate,
): string {
  const watching = view.earlier !== undefined;
  const rows = tunnel.peers.flatMap((peer) => {
    const earlier = samePeer(before, peer)?.drops;
    return peer.drops.map(({ direction, reason, count }) => {
      const same = (other: PeerDropCount) =>
        other.direction === direction && other.reason === reason;
      // A peer's drops are listed from the first one on: none before means 0.
      const was = before === undefined ? undefined : (earlier?.find(same)?.count ?? 0);
      const cells = [remoteName(peer), `${direction} ${reason}`, formatCount(count)];
      return watching ? [...cells, `${perSecond(rate(count, was))}/s`] : cells;
    });
  });
  if (rows.length === 0) return "";
  const align: Align[] = ["left", "left", "right", ...(watching ? (["right"] as const) : [])];
  return `  drops per peer\n${formatTable(rows, align, { indent: 4 })}`;
}

interface TrafficPair {
  egress: Traffic;
  ingress: Traffic;
}

function samePeer(
  tunnel: TunnelCounters | undefined,
  peer: PeerCounters,
): PeerCounters | undefined {
  return tunnel?.peers.find(
    (other) => other.address === peer.address && other.port === peer.port && other.vni === peer.vni,
  );
}

interface CountRow {
  /** One word may stand for a reason in both directions. */
  name: string;
  count: number;
  meaning: string;
}

function dropRow({ direction, reason, count, meaning }: DropCount): CountRow {
  return { name: `${direction} ${reason}`, count, meaning };
}

function eventRow({ event, count, meaning }: EventCount): CountRow {
  return { name: event, count, meaning };
}

/** Name, count, rate and meaning of everything that happened. */
function formatCounts(
  title: string,
  counts: readonly CountRow[],
  before: readonly CountRow[] | undefined,
  view: CountersView,
  rate: Rate,
): string {
  const shown = counts.filter(({ count }) => view.all || count > 0);
  if (shown.length === 0) return "";
  const watching = view.earlier !== undefined;
  const rows = shown.map(({ name, count, meaning }) => {
    const earlier = before?.find((other) => other.name === name)?.count;
    return [
      name,
      formatCount(count),
      ...(watching ? [`${perSecond(rate(count, earlier))}/s`] : []),
      meaning,
    ];
  });
  const align: Align[] = ["left", "right", ...(watching ? (["right"] as const) : []), "left"];
  return `  ${title}\n${formatTable(rows, align, { indent: 4 })}`;
}

function perSecond(value: number | undefined): string {
  return value === undefined ? "-" : formatCount(value);
}

function bitrate(bytes_per_s: number | undefined): string {
  return bytes_per_s === undefined ? "-" : formatBitrate(bytes_per_s);
}
