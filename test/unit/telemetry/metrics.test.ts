// The exposition text and the server for it, scraped over real HTTP on loopback.

import { afterEach, describe, expect, it } from "vitest";
import {
  createMetrics,
  type MetricsSample,
  type MetricsServer,
  startMetricsServer,
} from "../../../src/telemetry/metrics.js";

const traffic = (packets: number, bytes: number) => ({ packets, bytes });

function report(n: number): MetricsSample {
  return {
    tunnels: [
      {
        name: "vxlan100",
        egress: traffic(n, 100 * n),
        ingress: traffic(2 * n, 200 * n),
        drops: [{ direction: "egress", reason: "l2miss", count: n }],
        events: [{ event: "learned", count: 9 }],
        routes: { used: 7, unused: 2 },
        peers: [
          {
            ...{ address: "10.57.4.21", egress: traffic(n, n), ingress: traffic(3, 4) },
            drops: [{ direction: "ingress", reason: "ecn", count: 5 }],
            ...{ last_seen_s_ago: 2, state: "up", rtt_us: 1500, macs: 3, pmtu_bytes: 1500 },
            loss: { egress: 0.25, ingress: null },
          },
          {
            ...{ address: "fd00::2", port: 8472, vni: 7, drops: [] },
            ...{ egress: traffic(1, 1), ingress: traffic(1, 1), last_seen_s_ago: null },
            ...{ state: "down", rtt_us: null, macs: 0, pmtu_bytes: 9000, unreachable: {} },
          },
          {
            ...{ address: "10.57.4.22", egress: traffic(0, 0), ingress: traffic(0, 0), drops: [] },
            ...{ last_seen_s_ago: null, state: "unknown", pmtu_bytes: 1500 },
          },
        ],
      },
    ],
    drops: [{ direction: "ingress", reason: "unknown_vni", count: 0 }],
  };
}

const peers = { a: "10.57.4.21", b: "[fd00::2]:8472 vni 7", c: "10.57.4.22" };

/** Lines of one metric with a value for each of some peers. */
function peerSeries(name: string, values: Partial<Record<keyof typeof peers, number>>): string[] {
  return Object.entries(values).map(([peer, value]) => {
    const label = peers[peer as keyof typeof peers];
    return `culvert_peer_${name}{tunnel="vxlan100",peer="${label}"} ${value}`;
  });
}

let server: MetricsServer | undefined;
const log = { error: () => undefined };

afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** Lines of culvert's own series. */
const series = (text: string) => text.split("\n").filter((line) => line.startsWith("culvert_"));

describe("createMetrics", () => {
  it("shows the totals of this moment, each peer by itself, nothing of what is not known", async () => {
    let n = 7;
    const metrics = createMetrics(() => report(n));
    await metrics.render();
    n = 5000;
    expect(series(await metrics.render()).sort()).toEqual(
      [
        'culvert_drops_total{direction="ingress",reason="unknown_vni"} 0',
        ...peerSeries("egress_packets_total", { a: 5000, b: 1, c: 0 }),
        ...peerSeries("egress_bytes_total", { a: 5000, b: 1, c: 0 }),
        ...peerSeries("ingress_packets_total", { a: 3, b: 1, c: 0 }),
        ...peerSeries("ingress_bytes_total", { a: 4, b: 1, c: 0 }),
        ...peerSeries("up", { a: 1, b: 0 }),
        ...peerSeries("rtt_seconds", { a: 0.0015 }),
        ...peerSeries("last_seen_seconds", { a: 2 }),
        ...peerSeries("macs", { a: 3, b: 0 }),
        ...peerSeries("pmtu_bytes", { a: 1500, b: 9000, c: 1500 }),
        ...peerSeries("unreachable", { a: 0, b: 1, c: 0 }),
        'culvert_tunnel_routes{tunnel="vxlan100",state="used"} 7',
        'culvert_tunnel_routes{tunnel="vxlan100",state="unused"} 2',
        'culvert_peer_loss_ratio{tunnel="vxlan100",peer="10.57.4.21",direction="egress"} 0.25',
        'culvert_peer_drops_total{tunnel="vxlan100",peer="10.57.4.21",direction="ingress",reason="ecn"} 5',
        'culvert_tunnel_drops_total{tunnel="vxlan100",direction="egress",reason="l2miss"} 5000',
        'culvert_tunnel_events_total{tunnel="vxlan100",event="learned"} 9',
        'culvert_tunnel_egress_bytes_total{tunnel="vxlan100"} 500000',
        'culvert_tunnel_egress_packets_total{tunnel="vxlan100"} 5000',
        'culvert_tunnel_ingress_bytes_total{tunnel="vxlan100"} 1000000',
        'culvert_tunnel_ingress_packets_total{tunnel="vxlan100"} 10000',
      ].sort(),
    );
  });

  it("has HELP and TYPE, and what Node.js reports", async () => {
    const text = await createMetrics(() => report(1)).render();
    expect(text).toContain(
      "# HELP culvert_tunnel_egress_packets_total Inner packets of the tunnel",
    );
    expect(text).toContain("# TYPE culvert_tunnel_egress_packets_total counter\n");
    for (const name of new Set(series(text).map((line) => line.slice(0, line.indexOf("{"))))) {
      expect(text).toMatch(new RegExp(`^# HELP ${name} \\S`, "m"));
      expect(text).toMatch(new RegExp(`^# TYPE ${name} (counter|gauge)$`, "m"));
    }
    expect(text).toContain("# TYPE culvert_peer_rtt_seconds gauge\n");
    expect(text).toContain("# TYPE process_resident_memory_bytes gauge\n");
  });

  it("drops the series of a tunnel that is gone", async () => {
    let current = report(1);
    const metrics = createMetrics(() => current);
    await metrics.render();
    current = { tunnels: [], drops: [] };
    expect(series(await metrics.render())).toEqual([]);
  });
});

describe("startMetricsServer", () => {
  it("serves /metrics and nothing else", async () => {
    server = await startMetricsServer({ listen: "127.0.0.1:0", sample: () => report(2), log });
    const answer = await fetch(server.url);
    expect(answer.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await answer.text()).toContain(
      'culvert_tunnel_drops_total{tunnel="vxlan100",direction="egress",reason="l2miss"} 2\n',
    );
    expect((await fetch(new URL("/", server.url))).status).toBe(404);
    expect((await fetch(server.url, { method: "POST" })).status).toBe(405);
  });

  it("answers 500 when the counters cannot be read, and logs it", async () => {
    const logged: object[] = [];
    const failure = new Error("boom");
    server = await startMetricsServer({
      listen: "[::1]:0",
      sample: () => {
        throw failure;
      },
      log: { error: (fields) => logged.push(fields) },
    });
    const answer = await fetch(server.url);
    expect([answer.status, (await answer.text()).includes("boom")]).toEqual([500, false]);
    expect(logged).toEqual([{ err: failure }]);
  });

  it("names an address that is in use", async () => {
    server = await startMetricsServer({ listen: "127.0.0.1:0", sample: () => report(1), log });
    const { port } = new URL(server.url);
    const listen = `127.0.0.1:${port}`;
    await expect(
      startMetricsServer({ listen, sample: () => report(1), log }),
    ).rejects.toMatchObject({
      code: "CULVERT_METRICS_ADDRESS_IN_USE",
      message: `metrics: ${listen} is in use`,
      hint: expect.stringContaining(`ss -ltnp 'sport = :${port}'`),
    });
  });

  it.each(["192.0.2.1:9479", "nonsense", "127.0.0.1", "127.0.0.1:65536", "[::1:9479"])(
    "refuses %s",
    async (listen) => {
      await expect(
        startMetricsServer({ listen, sample: () => report(1), log }),
      ).rejects.toMatchObject({ code: "CULVERT_METRICS_LISTEN" });
    },
  );
});
