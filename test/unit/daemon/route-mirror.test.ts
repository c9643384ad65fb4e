// When the routes of ipip tunnels are read from the kernel, and what lost, interrupted and failed
// answers do: against a socket that gives what the test says.

import { describe, expect, it, onTestFinished, vi } from "vitest";
import { RouteMirror } from "../../../src/daemon/route-mirror.js";
import { MAX_OWN_DUMPS, MAX_SYNC_ATTEMPTS } from "../../../src/daemon/route-sync.js";
import { createLogger } from "../../../src/telemetry/log.js";
import { formatPrefix } from "../../../src/wire/ip-address.js";
import { message } from "../netlink/scripted-transport.js";
import { controlContext } from "./control-context.js";

const [NEW_ROUTE, DELETE_ROUTE, NEW_LINK, DELETE_ADDRESS, NEW_RULE] = [24, 25, 16, 21, 32];
const [DONE, MULTI, INTERRUPTED, REPLACE] = [3, 0x2, 0x10, 0x100];
const ENOMEM = 12;
const OTHER = 2;

const ipv4 = (text: string): number[] => text.split(".").map(Number);

function attribute(type: number, bytes: readonly number[]): number[] {
  return [4 + bytes.length, 0, type, 0, ...bytes];
}

/** What rtnetlink tells of `PREFIX via GATEWAY dev IFINDEX`. */
function routeBytes(prefix: string, via: string, ifindex: number): Uint8Array {
  const [address, length] = prefix.split("/") as [string, string];
  const header = [2, Number(length), 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
  return Uint8Array.from([
    ...header,
    ...attribute(1, ipv4(address)),
    ...attribute(4, [ifindex, 0, 0, 0]),
    ...attribute(5, ipv4(via)),
  ]);
}

type Route = readonly [prefix: string, via: string, ifindex: number];

interface Answer {
  readonly routes?: readonly Route[];
  readonly flags?: number;
  readonly errno?: number;
  /** The end is not told. */
  readonly endless?: boolean;
}

const running: RouteMirror[] = [];

/** A mirror of some tunnels, all with `dev`, so that nobody looks for recursion. */
function fixture(count = 1) {
  vi.useFakeTimers();
  onTestFinished(() => {
    for (const mirror of running.splice(0)) mirror.stop();
    vi.useRealTimers();
  });
  const lines = Array.from(
    { length: count },
    (_, n) => `  - { name: ipip${n}, type: ipip, local: 10.57.4.${20 + n}, dev: eth0 }`,
  );
  const other = "  - { name: vxlan0, type: vxlan, vni: 1, local: 10.57.4.20 }";
  const { tunnels, peers, rtnl } = controlContext(`tunnels:\n${[...lines, other].join("\n")}`);
  const asked: { ifindex: number; family: number; sequence: number }[] = [];
  const queue: Uint8Array[] = [];
  let overrun = false;
  let readable = () => {};
  const state = { refuses: 0, changes: 0 };
  const mirror = new RouteMirror({
    ...{ tunnels, peers, rtnl, log: createLogger({ level: "fatal" }) },
    onChange: () => state.changes++,
    open: (callback) => {
      readable = callback;
      return {
        send: (bytes) => {
          if (state.refuses-- > 0) throw new Error("no");
          const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
          const narrowed = bytes.length > 28 + 4;
          const ifindex = narrowed ? view.getUint32(32, true) : 0;
          asked.push({ ifindex, family: bytes[16]!, sequence: view.getUint32(8, true) });
        },
        drain: () => {
          const bytes = Uint8Array.from(Buffer.concat(queue.splice(0)));
          const told = { bytes, overrun };
          overrun = false;
          return told;
        },
        close: () => {},
      };
    },
  });
  running.push(mirror);
  const notify = (type: number, flags: number, payload: Uint8Array) => {
    queue.push(message(type, flags, payload, 0));
  };
  /** Answers the dump that was asked for last. */
  const answer = async ({ routes = [], flags = 0, errno = 0, endless = false }: Answer = {}) => {
    const { sequence } = asked.at(-1)!;
    for (const route of routes) {
      queue.push(message(NEW_ROUTE, MULTI, routeBytes(...route), sequence));
    }
    const code = new Uint8Array(Int32Array.of(-errno).buffer);
    if (!endless) queue.push(message(DONE, MULTI | flags, code, sequence));
    readable();
    await vi.advanceTimersByTimeAsync(1);
  };
  const table = (n = 0) => {
    const tunnel = tunnels[n]!;
    if (tunnel.type !== "ipip") throw new Error("not ipip");
    return tunnel.routes
      .list()
      .map(({ prefix }) => formatPrefix(prefix))
      .sort();
  };
  const soon = () => vi.advanceTimersByTimeAsync(30_000);
  const lose = () => {
    overrun = true;
    readable();
  };
  const ours = (n = 0) => tunnels[n]!.device.ifindex;
  /** Asks for the first dump; what it is answered with is up to the test. */
  const begin = async () => {
    const started = mirror.start();
    // A rejection is for whoever awaits it, later.
    started.catch(() => {});
    await vi.advanceTimersByTimeAsync(1);
    return { started };
  };
  const whole = async (routes: readonly Route[] = []) => {
    await answer({ routes });
    await answer();
  };
  return {
    ...{ mirror, asked, notify, answer, table, soon, lose, ours, begin, whole, state },
    readable: () => readable(),
  };
}

const [A, B, C] = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"] as const;
const VIA = "10.57.4.99";

describe("routes are read", () => {
  it("at the start, IPv4 then IPv6, and what is told meanwhile counts as well", async () => {
    const { begin, answer, asked, notify, ours, table } = fixture();
    const { started } = await begin();
    expect(asked).toMatchObject([{ ifindex: ours(), family: 2 }]);
    notify(NEW_ROUTE, 0, routeBytes(B, VIA, ours()));
    await answer({
      routes: [
        [A, VIA, ours()],
        [B, VIA, ours()],
      ],
    });
    expect(asked[1]).toMatchObject({ ifindex: ours(), family: 10 });
    notify(NEW_ROUTE, 0, routeBytes(C, VIA, ours()));
    notify(DELETE_ROUTE, 0, routeBytes(A, VIA, ours()));
    await answer();
    await started;
    expect(table()).toEqual([B, C]);
  });

  it("again when a change interrupted it, a few times", async () => {
    const { begin, answer, asked, ours, table } = fixture();
    const { started } = await begin();
    for (let attempt = 1; attempt <= MAX_SYNC_ATTEMPTS; attempt++) {
      await answer({ routes: [[A, VIA, ours()]], flags: INTERRUPTED });
      await answer();
    }
    await started;
    expect(table()).toEqual([A]);
    expect(asked).toHaveLength(2 * MAX_SYNC_ATTEMPTS);
  });

  it("again after an overrun, also one in the middle of a dump", async () => {
    const { begin, answer, asked, lose, ours, soon, table, whole } = fixture();
    const { started } = await begin();
    await answer({ routes: [[A, VIA, ours()]], endless: true });
    lose();
    await whole();
    await started;
    expect(table()).toEqual([A]);
    await soon();
    expect(asked).toHaveLength(3);
    await whole([[B, VIA, ours()]]);
    expect(table()).toEqual([B]);
    await soon();
    expect(asked).toHaveLength(4);
  });

  it("again when something unreadable hid the end of a dump", async () => {
    const { begin, answer, asked, notify, ours, readable, soon, table, whole } = fixture();
    const { started } = await begin();
    await whole([[A, VIA, ours()]]);
    await started;
    notify(NEW_LINK, 0, linkBytes(ours(), true));
    readable();
    await soon();
    expect(asked).toHaveLength(3);
    notify(NEW_ROUTE, 0, new Uint8Array(3));
    await answer({ routes: [] });
    expect(table()).toEqual([A]);
    await soon();
    expect(asked).toHaveLength(4);
    await whole([[B, VIA, ours()]]);
    expect(table()).toEqual([B]);
  });

  it("when the device goes down or up, or an address of it goes; not for other devices", async () => {
    const { begin, asked, notify, ours, readable, soon, whole } = fixture();
    const { started } = await begin();
    await whole();
    await started;
    const told = async (type: number, payload: Uint8Array) => {
      const before = asked.length;
      notify(type, 0, payload);
      readable();
      await soon();
      const dumps = asked.length - before;
      if (dumps > 0) await whole();
      return dumps;
    };
    expect(await told(NEW_LINK, linkBytes(OTHER, false))).toBe(0);
    expect(await told(NEW_LINK, linkBytes(ours(), true))).toBe(1);
    expect(await told(NEW_LINK, linkBytes(ours(), true))).toBe(0);
    expect(await told(NEW_LINK, linkBytes(ours(), false))).toBe(1);
    expect(await told(DELETE_ADDRESS, addressBytes(OTHER))).toBe(0);
    expect(await told(DELETE_ADDRESS, addressBytes(ours()))).toBe(1);
  });

  it("in one dump of all when there are many tunnels", async () => {
    const count = MAX_OWN_DUMPS + 1;
    const { begin, answer, asked, ours, table } = fixture(count);
    const { started } = await begin();
    expect(asked).toMatchObject([{ ifindex: 0, family: 2 }]);
    const routes = [
      [A, VIA, ours(0)],
      [B, VIA, ours(count - 1)],
      [C, VIA, OTHER],
    ] as const;
    await answer({ routes });
    await answer();
    await started;
    expect(table(0)).toEqual([A]);
    expect(table(1)).toEqual([]);
    expect(table(count - 1)).toEqual([B]);
    expect(asked).toHaveLength(2);
  });
});

describe("what cannot be read", () => {
  it("is an error at the start", async () => {
    const { begin, answer } = fixture();
    const { started } = await begin();
    await answer({ errno: ENOMEM });
    await expect(started).rejects.toMatchObject({ code: "CULVERT_NETLINK" });
  });

  it("is tried again later, and what there was stays meanwhile", async () => {
    const { begin, answer, asked, lose, ours, soon, state, table, whole } = fixture();
    const { started } = await begin();
    await whole([[A, VIA, ours()]]);
    await started;
    lose();
    await soon();
    await answer({ errno: ENOMEM });
    expect(table()).toEqual([A]);
    state.refuses = 2;
    await soon();
    expect(asked).toHaveLength(4);
    await whole([[B, VIA, ours()]]);
    expect(table()).toEqual([B]);
  });
});

describe("a change", () => {
  it("is passed on, of whatever device; routes of other devices stay out of the table", async () => {
    const { begin, notify, ours, readable, state, table, whole } = fixture();
    const { started } = await begin();
    await whole([[A, VIA, ours()]]);
    await started;
    const told = (type: number, payload: Uint8Array, flags = 0) => {
      state.changes = 0;
      notify(type, flags, payload);
      readable();
      return state.changes;
    };
    expect(told(NEW_ROUTE, routeBytes(B, VIA, OTHER))).toBe(1);
    expect(told(NEW_RULE, new Uint8Array(12))).toBe(1);
    expect(told(NEW_LINK, linkBytes(OTHER, true))).toBe(1);
    expect(told(DELETE_ADDRESS, addressBytes(OTHER))).toBe(1);
    expect(table()).toEqual([A]);
    expect(told(NEW_ROUTE, routeBytes(A, VIA, OTHER), REPLACE)).toBe(1);
    expect(table()).toEqual([]);
  });

  it("is told also where there is no ipip tunnel, if somebody wants to know", async () => {
    const { mirror, notify, readable, state, asked } = fixture(0);
    await mirror.start();
    notify(NEW_ROUTE, 0, routeBytes(A, VIA, OTHER));
    readable();
    expect(state.changes).toBe(1);
    expect(asked).toEqual([]);
  });
});

function linkBytes(ifindex: number, up: boolean): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[4] = ifindex;
  bytes[8] = up ? 1 : 0;
  return bytes;
}

function addressBytes(ifindex: number): Uint8Array {
  return Uint8Array.from([2, 24, 0, 0, ifindex, 0, 0, 0]);
}
