// The exposition text and the server for it, scraped over real HTTP on loopback.

import { afterEach, describe, expect, it } from "vitest";
import type { CountersReport } from "../../../src/control/target.js";
import {
  createMetrics,
  type MetricsServer,
  startMetricsServer,
} from "../../../src/telemetry/metrics.js";

const traffic = (packets: number, bytes: number) => ({ packets, bytes });

function report(n: number): CountersReport {
  return {
    tunnels: [
      {
        name: "vxlan100",
        egress: traffic(n, 100 * n),
        ingress: traffic(2 * n, 200 * n),
        drops: [{ direction: "egress", reason: "l2miss", meaning: "No entry.", count: n }],
        events: [{ event: "learned", meaning: "Learned.", count: 9 }],
        peers: [
          { address: "10.57.4.21", egress: traffic(n, n), ingress: traffic(3, 4) },
          { address: "10.57.4.21", port: 8472, egress: traffic(1, 1), ingress: traffic(1, 1) },
        ],
      },
    ],
    drops: [{ direction: "ingress", reason: "unknown_vni", meaning: "No tunnel.", count: 0 }],
  };
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
  it("shows the totals of this moment, peers of one address added up", async () => {
    let n = 7;
    const metrics = createMetrics(() => report(n));
    await metrics.render();
    n = 5000;
    expect(series(await metrics.render()).sort()).toEqual(
      [
        'culvert_drops_total{direction="ingress",reason="unknown_vni"} 0',
        'culvert_peer_egress_bytes_total{tunnel="vxlan100",peer="10.57.4.21"} 5001',
        'culvert_peer_egress_packets_total{tunnel="vxlan100",peer="10.57.4.21"} 5001',
        'culvert_peer_ingress_bytes_total{tunnel="vxlan100",peer="10.57.4.21"} 5',
        'culvert_peer_ingress_packets_total{tunnel="vxlan100",peer="10.57.4.21"} 4',
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
