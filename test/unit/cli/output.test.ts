// What the commands print: text for people, JSON for programs, errors on stderr.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatStatus } from "../../../src/cli/status.js";
import { type CliSetting, culvert, type Daemon, startDaemon } from "./harness.js";

const MAC = "02:00:00:00:00:0b";
let daemon: Daemon;

beforeEach(async () => {
  daemon = await startDaemon();
  const times = { used_s: 7, updated_s: 12 };
  daemon.target.fdb = [
    { dev: "vxlan100", mac: "00:00:00:00:00:00", dst: "10.57.4.21", state: "permanent", ...times },
    {
      dev: "vxlan100",
      mac: "02:00:00:00:00:0c",
      dst: "fd00::22",
      port: 99,
      vni: 7,
      state: "dynamic",
      ...times,
    },
    {
      ...{ dev: "vxlan100", mac: "02:00:00:00:00:0d", dst: "10.57.4.21", state: "static" },
      ...{ router: true, extern_learn: true, ...times },
    },
  ];
  daemon.target.neigh = [
    { dev: "vxlan100", ip: "192.168.11.1", mac: "02:00:00:00:00:0b", state: "PERMANENT" },
    { dev: "vxlan100", ip: "192.168.11.2", mac: MAC, state: "PERMANENT", router: true },
    { dev: "vxlan100", ip: "192.168.11.3", mac: MAC, state: "NOARP" },
  ];
});
afterEach(() => daemon.close());

const run = (line: string, setting: CliSetting = {}) =>
  culvert(["--socket", daemon.socketPath, ...line.split(" ")], setting);

async function output(line: string, setting: CliSetting = {}): Promise<string> {
  const { status, out, err } = await run(line, setting);
  expect({ status, err }).toEqual({ status: 0, err: "" });
  return out;
}

describe("fdb", () => {
  // The lines and objects of bridge(8) from iproute2 6.1 for the same entries, the blank at the end
  // included.
  it("prints bridge's lines", async () => {
    expect(await output("fdb show dev vxlan100")).toBe(
      "00:00:00:00:00:00 dst 10.57.4.21 self permanent\n" +
        "02:00:00:00:00:0c dst fd00::22 port 99 vni 7 self \n" +
        "02:00:00:00:00:0d dst 10.57.4.21 self router extern_learn static\n",
    );
    expect(await output("fdb show")).toBe(
      "00:00:00:00:00:00 dev vxlan100 dst 10.57.4.21 self permanent\n" +
        "02:00:00:00:00:0c dev vxlan100 dst fd00::22 port 99 vni 7 self \n" +
        "02:00:00:00:00:0d dev vxlan100 dst 10.57.4.21 self router extern_learn static\n",
    );
    for (const early of ["-s fdb show", "fdb -s show"]) {
      expect(await output(`${early} dst fd00::22 dev vxlan100`)).toContain(" used ");
    }
    expect(await output("fdb show -s dst fd00::22 dev vxlan100")).toBe(
      "02:00:00:00:00:0c dst fd00::22 port 99 vni 7 used 7/12 self \n",
    );
  });

  it("prints bridge's JSON", async () => {
    expect(await output("fdb show -j")).toBe(
      '[{"mac":"00:00:00:00:00:00","ifname":"vxlan100","dst":"10.57.4.21","flags":["self"],"state":"permanent"},' +
        '{"mac":"02:00:00:00:00:0c","ifname":"vxlan100","dst":"fd00::22","port":99,"vni":7,"flags":["self"],"state":""},' +
        '{"mac":"02:00:00:00:00:0d","ifname":"vxlan100","dst":"10.57.4.21","flags":["self","router","extern_learn"],"state":"static"}]\n',
    );
    expect(JSON.parse(await output("fdb show -j -s dev vxlan100 dst fd00::22"))).toEqual([
      {
        mac: "02:00:00:00:00:0c",
        dst: "fd00::22",
        port: 99,
        vni: 7,
        used: 7,
        updated: 12,
        flags: ["self"],
        state: "",
      },
    ]);
    expect(await output("fdb show dev ipip0 -j")).toBe("[]\n");
  });

  it("names the device of a multicast group as bridge does", async () => {
    daemon.target.fdb = [{ ...daemon.target.fdb[0]!, dst: "239.1.1.1", via: "eth0" }];
    expect(await output("fdb show dev vxlan100")).toBe(
      "00:00:00:00:00:00 dst 239.1.1.1 via eth0 self permanent\n",
    );
    expect(JSON.parse(await output("fdb show dev vxlan100 -j"))).toEqual([
      {
        mac: "00:00:00:00:00:00",
        dst: "239.1.1.1",
        viaIf: "eth0",
        flags: ["self"],
        state: "permanent",
      },
    ]);
  });

  it("says how many entries it removed", async () => {
    expect(await output("fdb flush dev vxlan100 dynamic")).toBe("1 entry removed\n");
    expect(await output("fdb flush dev vxlan100 dynamic")).toBe("0 entries removed\n");
    expect(await output("fdb flush dev vxlan100 -j")).toBe('{"removed":2}\n');
  });
});

describe("neigh", () => {
  it("prints ip's lines", async () => {
    expect(await output("neigh show")).toBe(
      `192.168.11.1 dev vxlan100 lladdr ${MAC} PERMANENT \n` +
        `192.168.11.2 dev vxlan100 lladdr ${MAC} router PERMANENT \n`,
    );
    expect(await output("neigh show dev vxlan100 192.168.11.1")).toBe(
      `192.168.11.1 lladdr ${MAC} PERMANENT \n`,
    );
    expect(await output("neigh show dev vxlan100 nud noarp")).toBe(
      `192.168.11.3 lladdr ${MAC} NOARP \n`,
    );
  });

  it("prints ip's JSON", async () => {
    expect(await output("neigh show -j")).toBe(
      '[{"dst":"192.168.11.1","dev":"vxlan100","lladdr":"02:00:00:00:00:0b","state":["PERMANENT"]},' +
        '{"dst":"192.168.11.2","dev":"vxlan100","lladdr":"02:00:00:00:00:0b","router":null,"state":["PERMANENT"]}]\n',
    );
    expect(await output("neigh show -j dev vxlan100 nud noarp")).toBe(
      '[{"dst":"192.168.11.3","lladdr":"02:00:00:00:00:0b","state":["NOARP"]}]\n',
    );
  });

  it("says why nothing was flushed", async () => {
    daemon.target.neigh.splice(1);
    expect(await output("neigh flush dev vxlan100")).toBe(
      "0 entries removed (permanent entries stay; `nud all` removes them too)\n",
    );
    expect(await output("neigh flush dev vxlan100 nud all")).toBe("1 entry removed\n");
  });
});

describe("route", () => {
  it("prints routes and decisions", async () => {
    expect(await output("route show")).toBe(
      "192.168.12.0/24 dev ipip0 scope link\n" +
        "192.168.11.0/24 via 10.57.4.21 dev ipip1 proto static onlink\n",
    );
    expect(await output("route get 192.168.11.10")).toBe(
      "192.168.11.10 dev vxlan100 outer 10.57.4.21 match 192.168.11.0/24\n" +
        "    the next hop 192.168.11.1 is behind this remote\n",
    );
    expect(JSON.parse(await output("route get 192.168.11.10 -j")).match).toBe("192.168.11.0/24");
  });
});

describe("status", () => {
  it("says of a multicast group neither state nor when it was heard", () => {
    const report = daemon.target.status();
    const [tunnel] = report.tunnels;
    const group = { ...tunnel!.remotes[1]!, address: "239.1.1.1", flags: ["flood", "group"] };
    const text = formatStatus({ ...report, tunnels: [{ ...tunnel!, remotes: [group] }] });
    expect(text).toMatch(/239\.1\.1\.1\S* vni 7 +- +- +- +- +0 /);
  });

  it("says under the remotes which of them routers call unreachable", () => {
    const report = daemon.target.status();
    const [tunnel] = report.tunnels;
    const [first, second] = tunnel!.remotes;
    const said = { error: "host-unreachable", from: "10.57.4.1", s_ago: 3, count: 1 };
    const unsaid = { error: "ttl-exceeded", from: null, s_ago: 61, count: 7 };
    const remotes = [
      { ...first!, unreachable: said },
      { ...second!, unreachable: unsaid },
    ];
    const text = formatStatus({ ...report, tunnels: [{ ...tunnel!, remotes }] });
    expect(text.split("\n").slice(-3)).toEqual([
      "  10.57.4.21: host-unreachable from 10.57.4.1, 3s ago",
      "  [fd00::22]:8472 vni 7: ttl-exceeded, 1m01s ago, 7 times",
      "",
    ]);
  });

  it("prints a page for people", async () => {
    expect(await output("status")).toBe(
      [
        "culvert 0.1.0, pid 4242, up 2h03m, 1 worker",
        "offloads: tso4 udp_segment",
        "  uso off      turned off in the config",
        "  udp_gro off  no reason given",
        "",
        "vxlan100: vxlan vni 100 local 10.57.4.20 port 4789 mtu 1450 mac 02:00:00:00:00:0a UP",
        "  addresses 192.168.10.1/24",
        "  entries   fdb 3, neigh 3, routes 1",
        "  remote                 state    last seen     rtt    loss  macs  pmtu    egress   ingress  flags",
        "  10.57.4.21             up          3s ago  1.25ms  1.5/0%    12  1500  1.43 MiB  2.00 KiB  flood",
        "  [fd00::22]:8472 vni 7  unknown      never       -       -     0  9000       0 B       0 B  learned,no-gso",
        "",
        "ipip0: ipip local 10.57.4.20 mtu 1480 DOWN",
        "  addresses none",
        "  entries   fdb 0, neigh 0, routes 1",
        "  remote      state  last seen  rtt  loss  macs  pmtu  egress  ingress  flags",
        "  10.57.4.22  -      1m01s ago    -     -     -  1500    84 B      0 B",
        "",
      ].join("\n"),
    );
  });

  it("prints the report as it is with -j, indented on a terminal", async () => {
    const report = JSON.parse(JSON.stringify(daemon.target.status()));
    const text = await output("status -j");
    expect(text.split("\n")).toHaveLength(2);
    expect(JSON.parse(text)).toEqual(report);
    expect(await output("status -j", { isTerminal: true })).toContain('\n  "pid": 4242,\n');
  });
});

describe("counters", () => {
  it("prints traffic and the drops that happened, each with its meaning", async () => {
    expect(await output("counters")).toBe(
      [
        "vxlan100",
        "              egress pkts    bytes  ingress pkts  bytes",
        "  total             1.00k  977 KiB            10  640 B",
        "  10.57.4.21        1.00k  977 KiB            10  640 B",
        "  drops",
        "    egress l2miss  1  Meaning of l2miss.",
        "  drops per peer",
        "    10.57.4.21  ingress ecn  3",
        "  events",
        "    learned  4  A MAC was learned.",
        "",
        "ipip0",
        "         egress pkts  bytes  ingress pkts  bytes",
        "  total            0    0 B             0    0 B",
        "",
        "no tunnel",
        "  drops",
        "    ingress unknown_vni  5  Meaning of unknown_vni.",
        "",
      ].join("\n"),
    );
  });

  it("prints every reason with --all, and the report with -j", async () => {
    const text = await output("counters --all");
    expect(text).toContain("    floods   0  A frame was flooded.\n");
    expect(text).toContain("    ingress ttl_zero  0  Meaning of ttl_zero.\n");
    expect(text).toContain("    ingress bad_flags    0  Meaning of bad_flags.\n");
    expect(JSON.parse(await output("counters -j")).drops).toHaveLength(2);
  });

  it("prints rates with --watch until Ctrl-C", async () => {
    const stop = new AbortController();
    let pages = 0;
    const text = await output("counters --watch", {
      interrupted: stop.signal,
      onOut: () => {
        if (++pages === 2) stop.abort();
      },
    });
    const [first, second] = text.split("no tunnel");
    expect(first).toMatch(/^ {2}total +1.00k +- +977 KiB +- +10 +- +640 B +-$/m);
    // One second apart: 1000 packets and 1,000,000 bytes more, give or take a busy machine.
    expect(second).toMatch(/^ {2}total +2.00k +([2-9]\d\d|1.0\dk) +1.91 MiB +[2-8]\.\d\d Mb\/s /m);
    expect(second).toMatch(/^ {4}egress l2miss +2 +1\/s +Meaning of l2miss.$/m);
    expect(second).toMatch(/^ {4}10\.57\.4\.21 +ingress ecn +6 +3\/s$/m);
  });

  it("repaints in place on a terminal", async () => {
    const stop = new AbortController();
    stop.abort();
    const watched = await run("counters -w", { interrupted: stop.signal, isTerminal: true });
    expect(watched.out).toBe("\x1b[2J");
    const once = new AbortController();
    const page = await output("counters -w", {
      interrupted: once.signal,
      isTerminal: true,
      onOut: (text) => text.includes("vxlan100") && once.abort(),
    });
    expect(page.startsWith("\x1b[2J\x1b[Hvxlan100\x1b[K\n")).toBe(true);
    expect(page.endsWith("\x1b[J")).toBe(true);
  });

  it("ends with status 3 when the daemon goes away", async () => {
    let closing: Promise<void> | undefined;
    const result = await run("counters -w -j", {
      onOut: () => {
        closing ??= daemon.close();
      },
    });
    await closing;
    daemon = await startDaemon();
    expect(result.status).toBe(3);
    expect(JSON.parse(result.err).error.code).toBe("CULVERT_NO_DAEMON");
  });
});

describe("errors", () => {
  it("prints message and hint on stderr", async () => {
    expect(await run("fdb show dev eth7")).toEqual({
      status: 1,
      out: "",
      err: "culvert: no tunnel is named eth7\nhint: tunnels: vxlan100, ipip0\n",
    });
  });

  it("prints JSON on stderr with -j, also for wrong usage", async () => {
    const failed = await run("fdb show -j dev eth7");
    expect([failed.status, JSON.parse(failed.err)]).toEqual([
      1,
      {
        error: {
          code: "CULVERT_NO_TUNNEL",
          message: "no tunnel is named eth7",
          hint: "tunnels: vxlan100, ipip0",
        },
      },
    ]);
    const wrong = await run("fdb shwo -j");
    expect([wrong.status, JSON.parse(wrong.err).error.code]).toEqual([2, "CULVERT_USAGE"]);
  });

  it("ends with status 3 without a daemon", async () => {
    const path = join(daemon.directory, "none.sock");
    const result = await culvert(["status", "--socket", path]);
    expect(result.status).toBe(3);
    expect(result.err).toBe(
      `culvert: no daemon answers at ${path}\nhint: start one with \`culvert run --config FILE\`, or name its socket with --socket PATH\n`,
    );
  });

  it("prints the stack only with CULVERT_DEBUG=1", async () => {
    const quiet = await run("fdb show dev eth7");
    const loud = await run("fdb show dev eth7", { env: { CULVERT_DEBUG: "1" } });
    expect(quiet.err).not.toContain("    at ");
    expect(loud.err).toContain("    at ");
  });

  it("keeps control characters away from the terminal", async () => {
    const result = await run("fdb show dev \x1b[31mred");
    expect(result.status).toBe(1);
    expect(result.err).toContain("?[31mred");
    expect(result.err).not.toContain("\x1b");
  });
});

describe("check", () => {
  const config = (text: string) => {
    const path = join(daemon.directory, "culvert.yaml");
    writeFileSync(path, text);
    return path;
  };
  const right =
    "tunnels:\n  - { name: ipip0, type: ipip, local: 10.57.4.20, addresses: [192.168.10.1/32] }\n";

  it("prints the effective configuration", async () => {
    const path = config(right);
    const { status, out, err } = await culvert(["check", "--config", path]);
    expect({ status, err }).toEqual({ status: 0, err: "" });
    expect(out).toMatch(/^ +name: ipip0$|^ *- name: ipip0$/m);
    const json = JSON.parse((await culvert(["check", "-j", "--config", path])).out);
    expect(json.tunnels[0]).toMatchObject({ name: "ipip0", type: "ipip", ttl: 64 });
  });

  it("prints every problem with line and column and ends with status 2", async () => {
    const path = config(
      "tunnels:\n  - name: x\n    type: vxlan\n    vni: 99999999\n    bogus: 1\n",
    );
    const text = await culvert(["check", "-c", path]);
    expect(text).toMatchObject({ status: 2, out: "" });
    expect(text.err).toMatch(/culvert\.yaml:4:\d+: tunnels\[0\]\.vni: /);
    expect(text.err).toMatch(/culvert\.yaml:5:\d+: .*bogus/);
    const json = await culvert(["check", "-c", path, "--json"]);
    expect(json).toMatchObject({ status: 2, out: "" });
    const { error } = JSON.parse(json.err);
    expect(error.code).toBe("CULVERT_CONFIG_INVALID");
    expect(error.problems).toContainEqual(
      expect.objectContaining({ line: 4, key: "tunnels[0].vni" }),
    );
  });

  it("ends with status 2 when there is no such file", async () => {
    const result = await culvert(["check", "-c", join(daemon.directory, "none.yaml")]);
    expect(result.status).toBe(2);
    expect(result.err).toContain("none.yaml");
  });
});
