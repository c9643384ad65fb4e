// Prometheus metrics of a daemon, filled from its counters when a scrape asks, and the HTTP server
// for them. Holds no counts of its own: counters, `culvert counters` and these metrics come from
// one table.

import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { CulvertError } from "../errors.js";

interface TrafficSample {
  packets: number;
  bytes: number;
}

interface DropSample {
  direction: "egress" | "ingress";
  reason: string;
  count: number;
}

interface PeerSample {
  address: string;
  /** Where they are not the tunnel's own. */
  port?: number | undefined;
  vni?: number | undefined;
  egress: TrafficSample;
  ingress: TrafficSample;
  drops: readonly DropSample[];
  last_seen_s_ago: number | null;
  state?: "up" | "down" | "unknown" | undefined;
  rtt_us?: number | null | undefined;
  loss?: { egress: number | null; ingress: number | null } | undefined;
  macs?: number | undefined;
  pmtu_bytes: number;
  /** What ICMP says of it, while that holds. */
  unreachable?: object | undefined;
}

/** What the metrics are made from: the control API's counters, and of each peer its health. */
export interface MetricsSample {
  tunnels: readonly {
    name: string;
    egress: TrafficSample;
    ingress: TrafficSample;
    drops: readonly DropSample[];
    events: readonly { event: string; count: number }[];
    /** Prefixes that have a route over the device (IPIP). */
    routes?: { used: number; unused: number } | undefined;
    peers: readonly PeerSample[];
  }[];
  drops: readonly DropSample[];
}

export interface Metrics {
  /** `text/plain; version=0.0.4` ... */
  readonly contentType: string;
  /** The exposition text, with the counts of this moment. */
  render(): Promise<string>;
}

const DIRECTIONS = {
  egress: "from the device to the underlay",
  ingress: "from the underlay to the device",
} as const;
type Direction = keyof typeof DIRECTIONS;

type MakeCounter = (name: string, help: string, labelNames: string[]) => Counter;
type MakeGauge = (name: string, help: string, labelNames: string[]) => Gauge;
type PeerLabels = { tunnel: string; peer: string };

/** `10.57.4.21`, `10.57.4.21:8472`, `[fd00::2]:8472 vni 7`: what tells the peers of a tunnel apart. */
function peerLabel({ address, port, vni }: PeerSample): string {
  const host = address.includes(":") && port !== undefined ? `[${address}]` : address;
  return `${host}${port === undefined ? "" : `:${port}`}${vni === undefined ? "" : ` vni ${vni}`}`;
}

/** Drops and health of peers. What is not known has no sample. */
function peerHealth(counter: MakeCounter, gauge: MakeGauge) {
  const labelNames = ["tunnel", "peer"];
  const of = (name: string, help: string, more: string[] = []) =>
    gauge(`culvert_peer_${name}`, help, [...labelNames, ...more]);
  const drops = counter(
    "culvert_peer_drops_total",
    "Packets to or from the peer that were dropped here, by direction and reason.",
    [...labelNames, "direction", "reason"],
  );
  const up = of("up", "1: the peer answers keepalives, 0: it no longer does; only culvert does.");
  const rtt = of("rtt_seconds", "Smoothed round-trip time of keepalives.");
  const loss = of("loss_ratio", "Share of packets lost on the way, an estimate.", ["direction"]);
  const seen = of("last_seen_seconds", "Seconds since the last packet from the peer.");
  const macs = of("macs", "MAC addresses that the FDB has behind the peer.");
  const unreachable = of("unreachable", "1: ICMP said lately that the peer cannot be reached.");
  const pmtu = of("pmtu_bytes", "Largest outer packet that reaches the peer unfragmented.");
  const set = (to: Gauge, labels: Record<string, string>, value: number | null | undefined) => {
    if (value !== null && value !== undefined) to.set(labels, value);
  };
  return (labels: PeerLabels, peer: PeerSample) => {
    for (const { direction, reason, count } of peer.drops) {
      drops.inc({ ...labels, direction, reason }, count);
    }
    if (peer.state === "up" || peer.state === "down") up.set(labels, peer.state === "up" ? 1 : 0);
    set(rtt, labels, typeof peer.rtt_us === "number" ? peer.rtt_us / 1e6 : null);
    set(loss, { ...labels, direction: "egress" }, peer.loss?.egress);
    set(loss, { ...labels, direction: "ingress" }, peer.loss?.ingress);
    set(seen, labels, peer.last_seen_s_ago);
    set(macs, labels, peer.macs);
    set(pmtu, labels, peer.pmtu_bytes);
    set(unreachable, labels, peer.unreachable === undefined ? 0 : 1);
  };
}

/** The registry: culvert's counters from `sample()` plus what Node.js itself reports. */
export function createMetrics(sample: () => MetricsSample): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const ownNames: string[] = [];
  const own = (name: string, help: string, labelNames: string[]) => {
    ownNames.push(name);
    return { name, help, labelNames, registers: [registry] };
  };
  const counter: MakeCounter = (...args) => new Counter(own(...args));
  const gauge: MakeGauge = (...args) => new Gauge(own(...args));
  const traffic = (scope: "tunnel" | "peer", direction: Direction, labels: string[]) => {
    const name = `culvert_${scope}_${direction}`;
    const help = `of the ${scope} ${DIRECTIONS[direction]}.`;
    const packets = counter(`${name}_packets_total`, `Inner packets ${help}`, labels);
    const bytes = counter(`${name}_bytes_total`, `Bytes of inner packets ${help}`, labels);
    return (values: Record<string, string>, counted: TrafficSample) => {
      packets.inc(values, counted.packets);
      bytes.inc(values, counted.bytes);
    };
  };
  const tunnel = {
    egress: traffic("tunnel", "egress", ["tunnel"]),
    ingress: traffic("tunnel", "ingress", ["tunnel"]),
    drops: counter("culvert_tunnel_drops_total", "Packets dropped, by direction and reason.", [
      "tunnel",
      "direction",
      "reason",
    ]),
    routes: gauge("culvert_tunnel_routes", "Prefixes with a route over the device, by use.", [
      "tunnel",
      "state",
    ]),
    events: counter("culvert_tunnel_events_total", "What happened without dropping a packet.", [
      "tunnel",
      "event",
    ]),
  };
  const peer = {
    egress: traffic("peer", "egress", ["tunnel", "peer"]),
    ingress: traffic("peer", "ingress", ["tunnel", "peer"]),
    health: peerHealth(counter, gauge),
  };
  const drops = counter("culvert_drops_total", "Packets dropped that belong to no tunnel.", [
    "direction",
    "reason",
  ]);
  const fill = (report: MetricsSample) => {
    for (const { name, ...counted } of report.tunnels) {
      tunnel.egress({ tunnel: name }, counted.egress);
      tunnel.ingress({ tunnel: name }, counted.ingress);
      for (const { direction, reason, count } of counted.drops) {
        tunnel.drops.inc({ tunnel: name, direction, reason }, count);
      }
      for (const [state, count] of Object.entries(counted.routes ?? {})) {
        tunnel.routes.set({ tunnel: name, state }, count);
      }
      for (const { event, count } of counted.events)
        tunnel.events.inc({ tunnel: name, event }, count);
      for (const sampled of counted.peers) {
        const labels = { tunnel: name, peer: peerLabel(sampled) };
        peer.egress(labels, sampled.egress);
        peer.ingress(labels, sampled.ingress);
        peer.health(labels, sampled);
      }
    }
    for (const { direction, reason, count } of report.drops)
      drops.inc({ direction, reason }, count);
  };
  return {
    contentType: registry.contentType,
    render: async () => {
      const report = sample();
      // The report holds totals: start from nothing, so that tunnels and peers that are gone leave
      // no stale series.
      for (const name of ownNames) registry.getSingleMetric(name)?.reset();
      fill(report);
      return registry.metrics();
    },
  };
}

export interface MetricsServerOptions {
  /** `127.0.0.1:9479` or `[::1]:9479`; port 0 takes a free one. */
  listen: string;
  sample: () => MetricsSample;
  log: { error(fields: object, message: string): void };
}

export interface MetricsServer {
  /** Where it listens, with the port that was taken. */
  readonly url: string;
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 16;
const HEADERS_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 30_000;
const MAX_HEADERS_BYTES = 8 * 1024;

/**
 * Serves `/metrics`. Throws CULVERT_METRICS_LISTEN (an address that is not this host's, no
 * permission, not an address) and CULVERT_METRICS_ADDRESS_IN_USE.
 */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { host, port } = parseListen(options.listen);
  const metrics = createMetrics(options.sample);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADERS_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: HEADERS_TIMEOUT_MS,
    },
    (incoming, response) => {
      const path = incoming.url?.split("?", 1)[0];
      if (path !== "/metrics") {
        sendText(response, 404, "metrics are at /metrics\n");
      } else if (incoming.method !== "GET" && incoming.method !== "HEAD") {
        response.setHeader("allow", "GET, HEAD");
        sendText(response, 405, "use GET\n");
      } else {
        void answerScrape(response, metrics, options.log);
      }
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(IDLE_TIMEOUT_MS, (socket) => socket.destroy());
  await listen(server, host, port, options.listen);
  const bound = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${bound.port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answerScrape(
  response: ServerResponse,
  metrics: Metrics,
  log: MetricsServerOptions["log"],
): Promise<void> {
  try {
    const text = await metrics.render();
    response.setHeader("content-type", metrics.contentType);
    response.end(text);
  } catch (error) {
    log.error({ err: error }, "metrics: a scrape failed");
    sendText(response, 500, "the daemon's log says why this failed\n");
  }
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(text);
}

function parseListen(listen: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(listen);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new CulvertError("CULVERT_METRICS_LISTEN", `metrics: "${listen}" is not ADDRESS:PORT`, {
      hint: 'write metrics.listen as "127.0.0.1:9479" or "[::1]:9479"',
    });
  }
  return { host: match[1] ?? match[2], port };
}

function listen(server: Server, host: string, port: number, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "EADDRINUSE") {
        reject(
          new CulvertError("CULVERT_METRICS_ADDRESS_IN_USE", `metrics: ${text} is in use`, {
            hint: `choose another port for metrics.listen; \`ss -ltnp 'sport = :${port}'\` shows who has it`,
            cause,
          }),
        );
        return;
      }
      reject(
        new CulvertError(
          "CULVERT_METRICS_LISTEN",
          `metrics: cannot listen on ${text} (${cause.code ?? cause.message})`,
          { hint: "give an address of this host and a port above 1023", cause },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
}
