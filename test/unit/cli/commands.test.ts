// From the command line to the daemon: which request each line makes, and which lines are refused
// with exit status 2 before anything is sent.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { culvert, type Daemon, startDaemon } from "./harness.js";

const MAC = "02:00:00:00:00:0b";
const ZERO = "00:00:00:00:00:00";
let daemon: Daemon;

beforeAll(async () => {
  daemon = await startDaemon();
});
afterAll(() => daemon.close());
beforeEach(() => {
  daemon.target.last = undefined;
  daemon.target.fdb = [];
  daemon.target.neigh = [];
});

const run = (line: string) =>
  culvert([...line.split(" ").filter((word) => word !== ""), "--socket", daemon.socketPath]);

const fdb = { dev: "vxlan100", mac: MAC, dst: "10.57.4.21" };
/** As bridge 6.1 has the kernel flush: seen on a device with an entry of each state. */
const flush = (...states: string[]) => ({ dev: "vxlan100", states });
const neigh = { dev: "vxlan100", ip: "192.168.11.1", mac: MAC };

describe("makes the request", () => {
  it.each<[line: string, operation: string, argument?: object]>([
    ["status", "status"],
    ["-j status", "status"],
    ["status --json", "status"],
    ["counters", "counters"],
    ["counters -a", "counters"],
    ["fdb", "fdbPage", {}],
    ["fdb -j", "fdbPage", {}],
    ["fdb show", "fdbPage", {}],
    ["fdb list", "fdbPage", {}],
    ["fdb show dev vxlan100", "fdbPage", { dev: "vxlan100" }],
    ["fdb show brport vxlan100", "fdbPage", { dev: "vxlan100" }],
    ["fdb show dst 10.57.4.21 dev vxlan100", "fdbPage", { dev: "vxlan100", dst: "10.57.4.21" }],
    ["fdb show 02:00:00:00:00:0B self", "fdbPage", { mac: MAC }],
    ["fdb -j show dev vxlan100", "fdbPage", { dev: "vxlan100" }],
    ["fdb show -s dev vxlan100 -j", "fdbPage", { dev: "vxlan100" }],
    [`fdb add ${MAC} dev vxlan100 dst 10.57.4.21`, "fdbChange", { op: "add", ...fdb }],
    [`fdb add dev vxlan100 dst 10.57.4.21 ${MAC}`, "fdbChange", { op: "add", ...fdb }],
    [
      `fdb add ${MAC} dev vxlan100 self permanent dst 10.57.4.21`,
      "fdbChange",
      { op: "add", ...fdb },
    ],
    [
      `fdb add ${MAC} dev vxlan100 static dst 10.57.4.21`,
      "fdbChange",
      { op: "add", ...fdb, state: "static" },
    ],
    [
      `fdb replace ${MAC} dev vxlan100 static dst 10.57.4.21 dynamic router extern_learn use`,
      "fdbChange",
      { op: "replace", ...fdb, state: "dynamic", router: true, extern_learn: true },
    ],
    [
      `fdb add ${MAC} dev vxlan100 dynamic dst 10.57.4.21 local`,
      "fdbChange",
      { op: "add", ...fdb },
    ],
    ["fdb show dynamic", "fdbPage", { states: ["static", "dynamic"] }],
    ["fdb show state static", "fdbPage", { states: ["permanent", "static"] }],
    ["fdb show state permanent", "fdbPage", { states: ["permanent"] }],
    ["fdb show state all", "fdbPage", {}],
    [
      `fdb append ${ZERO} dev vxlan100 dst fd00::2 port 8472 vni 7`,
      "fdbChange",
      { op: "append", dev: "vxlan100", mac: ZERO, dst: "fd00::2", port: 8472, vni: 7 },
    ],
    [`fdb replace ${MAC} dev vxlan100 dst 10.57.4.21`, "fdbChange", { op: "replace", ...fdb }],
    ["fdb flush dev vxlan100", "fdbFlush", { dev: "vxlan100" }],
    ["fdb flush dev vxlan100 permanent", "fdbFlush", flush("permanent")],
    ["fdb flush dev vxlan100 nopermanent", "fdbFlush", flush("static", "dynamic")],
    ["fdb flush dev vxlan100 static", "fdbFlush", flush("static")],
    ["fdb flush dev vxlan100 nostatic", "fdbFlush", flush("dynamic")],
    ["fdb flush dev vxlan100 dynamic", "fdbFlush", flush("dynamic")],
    ["fdb flush nodynamic dev vxlan100", "fdbFlush", flush("permanent", "static")],
    ["fdb flush nopermanent nostatic dev vxlan100", "fdbFlush", flush("dynamic")],
    ["fdb flush permanent static dev vxlan100", "fdbFlush", flush("permanent")],
    ["fdb flush static dynamic dev vxlan100", "fdbFlush", flush("dynamic")],
    [
      "fdb flush dev vxlan100 dst 10.57.4.21 port 1 vni 2 router noextern_learn",
      "fdbFlush",
      {
        ...{ dev: "vxlan100", dst: "10.57.4.21", port: 1, vni: 2 },
        ...{ router: true, extern_learn: false },
      },
    ],
    [`fdb flush ${MAC} dev vxlan100 dst 10.57.4.21`, "fdbFlush", fdb],
    ["neigh", "neighShow", { state: "permanent" }],
    ["neigh show dev vxlan100 nud noarp", "neighShow", { dev: "vxlan100", state: "noarp" }],
    ["neigh show 192.168.11.1 nud all", "neighShow", { ip: "192.168.11.1" }],
    ["neigh show to fd00::1", "neighShow", { ip: "fd00::1", state: "permanent" }],
    [`neigh add 192.168.11.1 lladdr ${MAC} dev vxlan100`, "neighChange", { op: "add", ...neigh }],
    [
      `neigh replace dev vxlan100 lladdr ${MAC} to 192.168.11.1 nud noarp router`,
      "neighChange",
      { op: "replace", ...neigh, state: "noarp", router: true },
    ],
    ["neigh del 192.168.11.1 dev vxlan100", "neighChange", { op: "del", ...neigh, mac: undefined }],
    [
      "neigh delete fd00::1 dev vxlan100",
      "neighChange",
      { op: "del", dev: "vxlan100", ip: "fd00::1" },
    ],
    ["neigh flush dev vxlan100", "neighFlush", flush()],
    ["neigh flush dev vxlan100 nud all", "neighFlush", { dev: "vxlan100" }],
    ["neigh flush dev vxlan100 nud permanent", "neighFlush", flush("permanent")],
    [
      "neigh flush dev vxlan100 norouter nud noarp",
      "neighFlush",
      { ...flush("noarp"), router: false },
    ],
    ["route", "routePage", { from: 1 }],
    ["route show dev ipip0", "routePage", { dev: "ipip0" }],
    ["route get 192.168.11.10", "routeGet", { to: "192.168.11.10" }],
    [
      "route get to 192.168.11.10 dev vxlan100",
      "routeGet",
      { to: "192.168.11.10", dev: "vxlan100" },
    ],
  ])("%s", async (line, operation, argument) => {
    const result = await run(line);
    expect(result).toMatchObject({ status: 0, err: "" });
    expect(daemon.target.last).toEqual(
      argument === undefined ? [operation] : [operation, argument],
    );
  });

  it.each(["fdb del", "fdb delete"])("%s, with and without dst", async (line) => {
    const entry = { ...fdb, state: "permanent", used_s: 0, updated_s: 0 } as const;
    daemon.target.fdb = [entry];
    expect((await run(`${line} ${MAC} dev vxlan100`)).status).toBe(0);
    const { dst, ...withoutDst } = fdb;
    expect(daemon.target.last).toEqual(["fdbChange", { op: "del", ...withoutDst }]);
    daemon.target.fdb = [entry];
    expect((await run(`${line} ${MAC} dev vxlan100 dst ${dst}`)).status).toBe(0);
    expect(daemon.target.last).toEqual(["fdbChange", { op: "del", ...fdb }]);
  });
});

describe("is refused with exit status 2 and sends nothing", () => {
  it.each([
    ["", "no command is given"],
    ["stauts", 'unknown command "stauts"; did you mean "status"?'],
    ["frobnicate", 'unknown command "frobnicate"'],
    ["status extra", "too many arguments"],
    ["status --bogus", "unknown option '--bogus'"],
    ["status --jsno", "unknown option '--jsno'"],
    ["fdb shwo", 'unknown operation "shwo"; did you mean "show"?'],
    ["fdb dev vxlan100", 'unknown operation "dev"'],
    [`fdb get ${MAC} dev vxlan100`, "`show` with an address prints its entry; operations: show"],
    ["neigh change 192.168.11.1", "`replace` changes an entry"],
    ["fdb show dev", '"dev" needs a value'],
    ["fdb show dev a brport b", "mean the same"],
    ["fdb show br br0", '"br" is not supported'],
    ["fdb show --watch", "unknown option '--watch'"],
    [`fdb add ${MAC} dst 10.57.4.21`, 'missing "dev NAME"'],
    [`fdb add ${MAC} dev vxlan100`, 'missing "dst IP"'],
    ["fdb add dev vxlan100 dst 10.57.4.21", "missing the MAC address"],
    [`fdb add ${MAC} dev vxlan100 dst node-b`, 'dst: "node-b" is not an IPv4 or IPv6 address'],
    [`fdb add ${MAC} dev vxlan100 dst 10.57.4.21 vlan 7`, '"vlan" is not supported'],
    [`fdb add ${MAC} dev vxlan100 dst 10.57.4.21 sticky`, '"sticky" is not supported'],
    [`fdb add ${MAC} dev vxlan100 src_vni 1`, '"src_vni" is not supported: a tunnel has one VNI'],
    [`fdb add ${MAC} dev vxlan100 nhid 1`, '"nhid" is not supported'],
    [`fdb add ${MAC} dev vxlan100 via eth0`, '"via" is not supported'],
    [`fdb add ${MAC} dev vxlan100 master`, '"master" is not supported'],
    ["fdb show state stale", 'state: "stale" is not "permanent", "static"'],
    ["fdb flush", 'missing "dev NAME"'],
    ["fdb flush dev vxlan100 router norouter", "match no entry"],
    [`neigh add 192.168.11.1 lladdr ${MAC}`, 'missing "dev NAME"'],
    ["neigh add 192.168.11.1 dev vxlan100", 'missing "lladdr MAC"'],
    [`neigh add 192.168.11.1 lladr ${MAC} dev vxlan100`, 'did you mean "lladdr"?'],
    [`neigh add 192.168.11.1 lladdr ${MAC} dev vxlan100 nud all`, "permanent"],
    ["neigh add 192.168.11.1 nud stale", '"stale" is not "permanent" or "noarp"'],
    ["neigh add proxy 192.168.11.1 dev vxlan100", '"proxy" is not supported'],
    ["neigh flush", 'missing "dev NAME"'],
    ["route get", "missing the IP address"],
    ["route get 192.168.11.0/24", '"192.168.11.0/24" is not an IPv4 or IPv6 address'],
    ["route add 10.0.0.0/8 dev ipip0", 'unknown operation "add"'],
  ])("%s", async (line, message) => {
    const result = await run(line);
    expect(result).toMatchObject({ status: 2, out: "" });
    expect(result.err).toMatch(/^culvert: /);
    expect(result.err).toContain(message);
    expect(result.err).toMatch(/\nhint: .+\n$/);
    expect(daemon.target.last).toBeUndefined();
  });

  it.each([
    [["check"], "'-c, --config <file>' not specified"],
    [["run"], "'-c, --config <file>' not specified"],
    [["run", "--config"], "argument missing"],
    [["run", "--config", "x", "--socket", "y"], "unknown option '--socket'"],
    [["status", "--socket"], "argument missing"],
  ])("%s", async (argv, message) => {
    const result = await culvert(argv);
    expect(result).toMatchObject({ status: 2, out: "" });
    expect(result.err).toContain(message);
  });
});
