// Who is asked and when, and what is made of the answers: up and down, round-trip time, loss.

import { describe, expect, it } from "vitest";
import { metricsSample } from "../../../src/daemon/control/reports.js";
import { DOWN_AFTER, KEEPALIVES_PER_S, LOSS_WINDOW } from "../../../src/daemon/keepalives.js";
import { RemoteCounter, TunnelCounter } from "../../../src/telemetry/counters.js";
import { DropReasons } from "../../../src/telemetry/drop-reasons.js";
import { formatIpv4 } from "../../../src/wire/ip-address.js";
import { KEEPALIVE_REQUEST, parseKeepalive } from "../../../src/wire/keepalive.js";
import { type ControlFixture, controlContext } from "./control-context.js";

const INTERVAL_MS = 10_000;
const START_MS = 1_000_000;

const tunnel = (lines: string) => `
tunnels:
  - { name: vxlan100, type: vxlan, vni: 100, local: 10.57.4.20, ${lines} }
  - { name: ipip0, type: ipip, local: 10.57.4.20, remote: any,
      routes: [{ to: 192.168.11.0/24, via: 10.57.4.21 }] }
`;
const ONE_REMOTE = tunnel("remotes: [10.57.4.21]");

const asked = ({ sent }: ControlFixture) =>
  sent.map(({ address, port, bytes }) => ({
    to: `${formatIpv4(address)}:${port}`,
    ...parseKeepalive(bytes, 0, bytes.length)!,
  }));

/** Runs the clock from `from_ms`, in steps as the timer does. */
function pass(context: ControlFixture, from_ms: number, duration_ms: number): void {
  for (let at_ms = from_ms; at_ms < from_ms + duration_ms; at_ms += 100) {
    context.keepalives.run(at_ms);
  }
}

interface AnswerOptions {
  rtt_us?: number;
  instance?: number;
  peerSent?: number;
  peerArrived?: number;
  ownArrived?: number;
}

/** The remote answers the question that was asked last. */
function answer(context: ControlFixture, options: AnswerOptions = {}): void {
  const last = asked(context).at(-1)!;
  expect(context.rows.take(last.token, last.nonce, last.sequence)).toBe(true);
  const counts = { peerSent: 0, peerArrived: 0, ownArrived: 0 };
  const { sequence } = last;
  context.rows.note(last.token, { sequence, rtt_us: 800, instance: 1, ...counts, ...options });
}

/** Asked once and answered: up. */
function upContext(): { context: ControlFixture; row: number } {
  const context = controlContext(ONE_REMOTE);
  const [row] = context.vxlan.flood.list();
  pass(context, START_MS, 1000);
  answer(context);
  return { context, row };
}

describe("who is asked", () => {
  it("is every unicast remote of VXLAN tunnels, with its own port and VNI", () => {
    const context = controlContext(
      tunnel(
        "remotes: [10.57.4.21, { dst: 10.57.4.22, port: 4790, vni: 7 }], group: 239.1.1.1, dev: eth0",
      ),
    );
    context.peers.acquire(0, "239.1.1.1", 4789, 100);
    pass(context, START_MS, 1000);
    // 10.57.4.22 has a row with the tunnel's own port as well, for what it sends: not asked.
    expect(asked(context)).toMatchObject([
      { to: "10.57.4.21:4789", vni: 100, kind: KEEPALIVE_REQUEST, replyPort: 4789, replyVni: 100 },
      { to: "10.57.4.22:4790", vni: 7, kind: KEEPALIVE_REQUEST, replyPort: 4789, replyVni: 100 },
    ]);
    expect(context.counters.tunnel(0).fields.keepalivesSent).toBe(2);
    expect(context.counters.tunnel(0).fields.egressPackets).toBe(0);
  });

  it("is nobody with keepalive_s: 0", () => {
    const context = controlContext(tunnel("remotes: [10.57.4.21], keepalive_s: 0"));
    pass(context, START_MS, 30_000);
    expect(context.sent).toEqual([]);
    expect(context.keepalives.health(context.vxlan.flood.list()[0])).toBeUndefined();
  });

  it("is asked again after keepalive_s, a new remote within a second or two, a gone one no more", () => {
    const context = controlContext(ONE_REMOTE);
    const [row] = context.vxlan.flood.list();
    pass(context, START_MS, 1000);
    // random() is 0.5: the second one after half an interval, the others after a whole one.
    pass(context, START_MS + 1000, INTERVAL_MS / 2 + 2 * INTERVAL_MS);
    expect(asked(context).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
    context.peers.acquire(0, "10.57.4.30", 4789, 100);
    context.vxlan.flood.remove(row);
    context.peers.release(row);
    pass(context, START_MS + 40_000, 2000);
    expect(
      asked(context)
        .slice(4)
        .map(({ to }) => to),
    ).toEqual(["10.57.4.30:4789"]);
  });

  it("is not asked for ever, when it is a stranger who never answers", () => {
    const context = controlContext(tunnel("remotes: [10.57.4.21], allow: any"));
    context.remotes.learn(0, 0, 0, 0xffff, 0x0a39041e, 1);
    pass(context, START_MS, 10 * INTERVAL_MS);
    const strangers = asked(context).filter(({ to }) => to === "10.57.4.30:4789");
    expect(strangers).toHaveLength(DOWN_AFTER);
  });
});

describe("state", () => {
  it("is unknown until the first answer, then up, down after missed ones, up again", () => {
    const { context, row } = upContext();
    expect(context.peerChanges).toEqual([]);
    expect(context.keepalives.health(row)).toMatchObject({ state: "up", rtt_us: 800 });
    pass(context, START_MS + 1000, DOWN_AFTER * INTERVAL_MS);
    expect(context.keepalives.health(row)?.state).toBe("up");
    pass(context, START_MS + 1000 + DOWN_AFTER * INTERVAL_MS, INTERVAL_MS);
    expect(context.keepalives.health(row)).toMatchObject({ state: "down", rtt_us: null });
    answer(context);
    pass(context, START_MS + 50_000, 100);
    expect(context.keepalives.health(row)?.state).toBe("up");
    const change = { tunnel: context.vxlan, remote: row };
    expect(context.peerChanges).toEqual(
      ["up", "down", "up"].map((state) => ({ ...change, state })),
    );
  });

  it("of a kernel peer stays unknown, however long it is asked", () => {
    const context = controlContext(ONE_REMOTE);
    const [row] = context.vxlan.flood.list();
    pass(context, START_MS, 10 * INTERVAL_MS);
    expect(context.sent.length).toBeGreaterThan(DOWN_AFTER);
    expect(context.keepalives.health(row)).toMatchObject({ state: "unknown", rtt_us: null });
    expect(context.peerChanges).toEqual([]);
  });

  it("starts anew for another remote in the same row", () => {
    const { context, row } = upContext();
    context.keepalives.run(START_MS + 1000);
    context.remotes.rows[row * 16 + 6] = 0x0a390463;
    pass(context, START_MS + 2000, 1000);
    expect(context.keepalives.health(row)?.state).toBe("unknown");
  });
});

describe("round-trip time and loss", () => {
  /** Asks and answers `times` times; the counts grow each time. */
  function talk(
    context: ControlFixture,
    times: number,
    step: { sent: number; arrived: number; peerSent: number; ownArrived: number },
    instance = 1,
  ): void {
    const [row] = context.vxlan.flood.list();
    const start = asked(context).length;
    for (let i = 1; i <= times; i++) {
      context.worker.addRemote(row, RemoteCounter.egressPackets, step.sent);
      while (asked(context).length < start + i) clock(context);
      const { arrived, peerSent, ownArrived } = step;
      const counts = {
        peerArrived: arrived * i,
        peerSent: peerSent * i,
        ownArrived: ownArrived * i,
      };
      answer(context, { instance, ...counts });
      clock(context);
    }
  }
  let now_ms = START_MS;
  const clock = (context: ControlFixture) => {
    now_ms += 100;
    context.keepalives.run(now_ms);
  };

  it("smoothes the time [RFC 6298 § 2]", () => {
    const { context, row } = upContext();
    context.keepalives.run(START_MS + 1000);
    pass(context, START_MS + 1100, INTERVAL_MS);
    answer(context, { rtt_us: 1600 });
    expect(context.keepalives.health(row)?.rtt_us).toBe(900);
  });

  it("tells what was sent and has not arrived, each way", () => {
    const context = controlContext(ONE_REMOTE);
    const [row] = context.vxlan.flood.list();
    talk(context, 4, { sent: 100, arrived: 90, peerSent: 1000, ownArrived: 995 });
    const health = context.keepalives.health(row);
    expect(health?.lossEgress).toBeCloseTo(0.1);
    expect(health?.lossIngress).toBeCloseTo(0.005);
    const [{ peers }] = metricsSample(context).tunnels;
    expect(peers[0]).toMatchObject({ state: "up", rtt_us: 800, macs: 0, pmtu_bytes: 1500 });
    expect(peers[0].loss?.egress).toBeCloseTo(0.1);
  });

  it("is clamped, and not known where nothing was sent", () => {
    const context = controlContext(ONE_REMOTE);
    const [row] = context.vxlan.flood.list();
    talk(context, 3, { sent: 0, arrived: 0, peerSent: 10, ownArrived: 12 });
    expect(context.keepalives.health(row)).toMatchObject({ lossEgress: null, lossIngress: 0 });
  });

  it("looks back over the last answers only", () => {
    const context = controlContext(ONE_REMOTE);
    const [row] = context.vxlan.flood.list();
    talk(context, 2, { sent: 100, arrived: 0, peerSent: 0, ownArrived: 0 });
    expect(context.keepalives.health(row)?.lossEgress).toBe(1);
    talk(context, LOSS_WINDOW, { sent: 100, arrived: 100, peerSent: 0, ownArrived: 0 });
    expect(context.keepalives.health(row)?.lossEgress).toBe(0);
  });

  it("begins anew with a peer that was started anew", () => {
    const context = controlContext(ONE_REMOTE);
    const [row] = context.vxlan.flood.list();
    talk(context, 3, { sent: 100, arrived: 50, peerSent: 0, ownArrived: 0 });
    talk(context, 1, { sent: 100, arrived: 3, peerSent: 0, ownArrived: 0 }, 2);
    expect(context.keepalives.health(row)).toMatchObject({ state: "up", lossEgress: null });
  });

  it("carries what arrived here, drops included", () => {
    const context = controlContext(ONE_REMOTE);
    const [row] = context.vxlan.flood.list();
    context.worker.addRemote(row, RemoteCounter.ingressPackets, 7);
    context.worker.addRemote(row, RemoteCounter.egressPackets, 5);
    context.worker.dropOf(0, row, DropReasons.ecn.id, 2);
    context.worker.dropOf(0, row, DropReasons.tooBig.id, 100);
    context.worker.addTunnel(0, TunnelCounter.ingressPackets, 1000);
    pass(context, START_MS, 1000);
    expect(asked(context)).toMatchObject([{ sent: 5, arrived: 9, instance: 0x1a2b3c4d }]);
  });
});

describe("very many remotes", () => {
  it("are asked less often, so that all together get no more than KEEPALIVES_PER_S", () => {
    const count = 600;
    const list = Array.from({ length: count }, (_, i) => `10.58.${i >> 8}.${i & 255}`).join(", ");
    const text = tunnel(`keepalive_s: 1, remotes: [${list}]`);
    const context = controlContext(text, [], 2 * count);
    const round_ms = (count / KEEPALIVES_PER_S) * 1000;
    pass(context, START_MS, 2 * round_ms);
    context.sent.length = 0;
    pass(context, START_MS + 2 * round_ms, round_ms);
    const times = new Map<string, number>();
    for (const { to } of asked(context)) times.set(to, (times.get(to) ?? 0) + 1);
    expect(times.size).toBe(count);
    expect(new Set(times.values())).toEqual(new Set([1]));
  });
});
