// Counters: one writer each, sums over workers, restarts, the "no tunnel" block; the list of drop
// reasons.
import { describe, expect, it } from "vitest";
import {
  Counters,
  NO_TUNNEL,
  RemoteCounter,
  TunnelCounter,
  WorkerCounters,
} from "../../../src/telemetry/counters.js";
import { DROP_REASONS, DropReasons } from "../../../src/telemetry/drop-reasons.js";

function create() {
  const counters = Counters.create({ workers: 2, maxTunnels: 3, maxRemotes: 5 });
  const state = structuredClone(counters.sharedState());
  return { counters, a: new WorkerCounters(state, 0), b: new WorkerCounters(state, 1) };
}

describe("Counters", () => {
  it("sum over workers and keep tunnels apart, to the first and the last", () => {
    const { counters, a, b } = create();
    a.addTunnel(0, TunnelCounter.egressPackets, 44);
    b.addTunnel(0, TunnelCounter.egressPackets, 1);
    b.addTunnel(2, TunnelCounter.icmpErrors, 7);
    a.drop(2, DropReasons.deviceError.id, 3);
    b.drop(2, DropReasons.deviceError.id, 4);
    b.drop(2, DropReasons.runtFrame.id, 1);
    expect(counters.tunnel(0).fields.egressPackets).toBe(45);
    expect(counters.tunnel(0).drops).toEqual(DROP_REASONS.map(() => 0));
    expect(Object.values(counters.tunnel(1).fields)).toEqual(new Array(12).fill(0));
    expect(counters.tunnel(2).fields).toMatchObject({ egressPackets: 0, icmpErrors: 7 });
    expect(counters.tunnel(2).drops[DropReasons.deviceError.id]).toBe(7);
    expect(counters.tunnel(2).drops[DropReasons.runtFrame.id]).toBe(1);
  });

  it("have a place for packets of no tunnel", () => {
    const { counters, a } = create();
    a.drop(NO_TUNNEL, DropReasons.unknownVni.id, 9);
    expect(counters.tunnel(NO_TUNNEL).drops[DropReasons.unknownVni.id]).toBe(9);
    expect(counters.tunnel(0).drops[DropReasons.unknownVni.id]).toBe(0);
  });

  it("count per remote, to the first and the last", () => {
    const { counters, a, b } = create();
    a.addRemote(0, RemoteCounter.egressBytes, 1500);
    a.addRemote(4, RemoteCounter.ingressPackets, 2);
    b.addRemote(4, RemoteCounter.ingressPackets, 3);
    b.addRemote(4, RemoteCounter.ingressBytes, 2 ** 40);
    const none = { egressPackets: 0, egressBytes: 0, ingressPackets: 0, ingressBytes: 0 };
    expect(counters.remote(0)).toEqual({ ...none, egressBytes: 1500 });
    expect(counters.remote(3)).toEqual(none);
    expect(counters.remote(4)).toEqual({ ...none, ingressPackets: 5, ingressBytes: 2 ** 40 });
  });

  it("begin at 0 for a new remote while workers count on", () => {
    const { counters, a, b } = create();
    for (const worker of [a, b]) {
      worker.addRemote(2, RemoteCounter.egressPackets, 6);
      worker.addRemote(3, RemoteCounter.egressPackets, 6);
    }
    counters.restartRemote(2);
    expect(counters.remote(2).egressPackets).toBe(0);
    expect(counters.remote(3).egressPackets).toBe(12);
    b.addRemote(2, RemoteCounter.egressPackets, 1);
    expect(counters.remote(2).egressPackets).toBe(1);
  });

  it("exist for the workers there are", () => {
    const { counters } = create();
    expect(() => new WorkerCounters(counters.sharedState(), 2)).toThrow();
  });
});

describe("DROP_REASONS", () => {
  it("have dense ids in the order of the list", () => {
    expect(DROP_REASONS.map((reason) => reason.id)).toEqual(DROP_REASONS.map((_, i) => i));
  });

  it("have one name per direction: the kebab-case form of their names in code", () => {
    const DIRECTION = /-(egress|ingress)$/;
    const names = Object.keys(DropReasons).map((key) =>
      key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replace(DIRECTION, ""),
    );
    expect(DROP_REASONS.map((reason) => reason.name)).toEqual(names);
    const places = DROP_REASONS.map(({ direction, name }) => `${direction} ${name}`);
    expect(new Set(places).size).toBe(places.length);
  });

  it("say what they mean in one sentence", () => {
    for (const { meaning } of DROP_REASONS) expect(meaning).toMatch(/^[A-Z].*[.?]$/);
  });
});
