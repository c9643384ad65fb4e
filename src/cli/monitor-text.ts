// Events as lines: those of `bridge monitor fdb` and `ip monitor neigh` (iproute2 6.1), the blank
// at the end included. Pure functions.

import type { FdbEvent, MonitorEvent, NeighEvent, PeerEvent } from "../control/monitor-events.js";

/** A line of its own in front of an event, as `bridge -t monitor` has it; or the short form. */
export type TimestampStyle = "none" | "line" | "short";

/** The event as text that ends in a newline. */
export function formatEvent(event: MonitorEvent, style: TimestampStyle): string {
  return `${timestamp(event.time_ms, style)}${words(event).join(" ")}\n`;
}

function words(event: MonitorEvent): string[] {
  switch (event.kind) {
    case "fdb":
      return fdbWords(event);
    case "neigh":
      return neighWords(event);
    case "miss":
      return [
        ...["miss", ...(event.ip === undefined ? [] : [event.ip]), "dev", event.dev],
        ...(event.mac === undefined ? [] : ["lladdr", event.mac]),
        ...["STALE", ""],
      ];
    case "peer":
      return peerWords(event);
  }
}

function fdbWords(event: FdbEvent): string[] {
  const { op, mac, dev, dst, port, vni, router, extern_learn, state } = event;
  return [
    ...(op === "del" ? ["Deleted", mac] : [mac]),
    ...["dev", dev],
    ...(dst === undefined ? [] : ["dst", dst]),
    ...(port === undefined ? [] : ["port", String(port)]),
    ...(vni === undefined ? [] : ["vni", String(vni)]),
    "self",
    ...(router === true ? ["router"] : []),
    ...(extern_learn === true ? ["extern_learn"] : []),
    state === "reachable" ? "" : state, // bridge has no word for NUD_REACHABLE
  ];
}

function neighWords({ op, ip, dev, mac, router, state }: NeighEvent): string[] {
  return [
    ...(op === "del" ? ["Deleted", ip] : [ip]),
    ...["dev", dev, "lladdr", mac],
    ...(router === true ? ["router"] : []),
    ...[state, ""],
  ];
}

function peerWords({ address, dev, change, silent_s, reason, count }: PeerEvent): string[] {
  return [
    ...["peer", address, "dev", dev, change],
    ...(reason === undefined ? [] : [reason]),
    ...(count === undefined ? [] : ["count", String(count)]),
    ...(silent_s === undefined ? [] : ["for", `${silent_s}s`]),
  ];
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = [
  ...["Jan", "Feb", "Mar", "Apr", "May", "Jun"],
  ...["Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
];

/** iproute2, print_timestamp: asctime(3) and microseconds, or ISO 8601; both in local time. */
function timestamp(time_ms: number, style: TimestampStyle): string {
  if (style === "none") return "";
  const date = new Date(time_ms);
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  const fraction_us = Math.floor((time_ms % 1000) * 1000);
  if (style === "short") {
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return `[${day}T${clock}.${String(fraction_us).padStart(6, "0")}] `;
  }
  const day = `${DAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${String(date.getDate()).padStart(2)}`;
  return `Timestamp: ${day} ${clock} ${date.getFullYear()} ${fraction_us} usec\n`;
}
