// Holds docs/configuration.md and docs/errors.md to the code: examples load, every key, default and
// code is there.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseListenAddress } from "../../../src/config/addresses.js";
import { configLimits, defaultValues } from "../../../src/config/default-values.js";
import { loadConfig } from "../../../src/config/load.js";
import { CONTRACT_EXAMPLE } from "./documents.js";

const root = new URL("../../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), "utf8");
const manual = read("docs/configuration.md");

/** First cell of every table row, code marks removed, to the third cell (the default). */
function documentedDefaults(): Map<string, string> {
  const rows = [...manual.matchAll(/^\| (`[^|]+) \|[^|]*\| ([^|]*) \|/gm)];
  return new Map(
    rows.flatMap(([, keys, value]) =>
      keys.split(", ").map((key) => [key.replaceAll("`", ""), value] as [string, string]),
    ),
  );
}

const examplesIn = (text: string): string[] =>
  [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map((match) => match[1]);

describe("README.md", () => {
  it("has configurations for two hosts and for IPIP, all right", () => {
    const examples = examplesIn(read("README.md"));
    expect(examples).toHaveLength(3);
    for (const example of examples) {
      expect(loadConfig(example, "README.md").problems).toBeUndefined();
    }
  });
});

describe("docs/configuration.md", () => {
  const examples = examplesIn(manual);

  it("has examples of VXLAN, of IPIP in each mode and without encapsulation, all right", () => {
    expect(examples).toHaveLength(9);
    for (const example of examples) {
      expect(loadConfig(example, "docs/configuration.md").problems).toBeUndefined();
    }
  });

  it("documents every key of the effective configuration", () => {
    const { config } = loadConfig(CONTRACT_EXAMPLE, "contract");
    if (config === undefined) throw new Error("the contract's example is wrong");
    const { control, log, metrics, offloads, tunnels } = config;
    const keys = [
      ...Object.keys(config),
      ...Object.keys(offloads).map((key) => `offloads.${key}`),
      ...tunnels.flatMap((tunnel) => Object.keys(tunnel)),
    ].filter((key) => !["control", "log", "metrics"].includes(key));
    expect(Object.keys({ ...control, ...log, ...metrics })).toStrictEqual([
      "socket",
      "level",
      "listen",
    ]);
    const documented = documentedDefaults();
    const missing = [
      ...keys,
      "control.socket",
      "log.level",
      "metrics.listen",
      "to",
      "via",
      "onlink",
    ]
      .concat("metric", "dst", "ip", "dev")
      .filter((key) => !documented.has(key));
    expect(missing).toStrictEqual([]);
  });

  it("tells the defaults that the code has", () => {
    const documented = documentedDefaults();
    const defaults: [string, unknown][] = [
      ["control.socket", defaultValues.controlSocket],
      ["log.level", defaultValues.logLevel],
      ["metrics.listen", defaultValues.metricsListen],
      ["workers", defaultValues.workers],
      ["busy_poll_us", defaultValues.busyPoll_us],
      ["mtu", defaultValues.mtu],
      ["allow", defaultValues.allow],
      ["udp_csum", defaultValues.udpCsum],
      ["srcport", defaultValues.sourcePorts],
      ["tos", defaultValues.tos],
      ["df", defaultValues.df],
      ["flowlabel", defaultValues.flowLabel],
      ["udp6_zero_csum_tx", defaultValues.udp6ZeroChecksum],
      ["udp6_zero_csum_rx", defaultValues.udp6ZeroChecksum],
      ["remcsum_tx", defaultValues.remoteChecksum],
      ["remcsum_rx", defaultValues.remoteChecksum],
      ["rsc", defaultValues.routeShortCircuit],
      ["l2miss", defaultValues.missEvents],
      ["l3miss", defaultValues.missEvents],
      ["notify", defaultValues.notify],
      ["keepalive_s", defaultValues.keepalive_s],
      ["bum_limit_pps", defaultValues.bumLimit_pps],
      ["max_macs_per_remote", defaultValues.maxMacsPerRemote],
      ["learning", defaultValues.learning],
      ["ageing_s", defaultValues.ageing_s],
      ["max_entries", defaultValues.maxEntries],
      ["proxy", defaultValues.proxy],
      ["strict_reserved", defaultValues.strictReserved],
      ["inner_vlan", defaultValues.innerVlan],
      ["remote", defaultValues.ipipRemote],
      ["pmtudisc", defaultValues.pmtudisc],
      ["direct", defaultValues.direct],
      ["metric", defaultValues.routeMetric],
    ];
    for (const [key, value] of defaults) expect(documented.get(key), key).toBe(`\`${value}\``);
    expect(manual).toContain(`| \`port\` | 1..65535 | \`${defaultValues.vxlanPort}\` |`);
    expect(manual).toContain(`| \`ttl\` | 0..255 or \`inherit\` | \`${defaultValues.vxlanTtl}\` |`);
    expect(manual).toContain(`| \`ttl\` | \`inherit\` or 0..255 | \`${defaultValues.ipipTtl}\` |`);
    expect(manual).toContain(`at most ${configLimits.remotes} remotes`);
    expect(manual).toContain(`list of 1..${configLimits.tunnels} tunnels`);
  });
});

/** The text of every file below a folder whose name ends in one of `endings`. */
function sourceOf(folder: string, ...endings: string[]): string {
  const at = new URL(folder, root);
  const names = readdirSync(at, { recursive: true, encoding: "utf8" });
  const wanted = names.filter((name) => endings.some((ending) => name.endsWith(ending)));
  return wanted.map((name) => readFileSync(new URL(name, at), "utf8")).join("\n");
}

describe("docs/errors.md", () => {
  const codes = (text: string, pattern: RegExp) =>
    [...new Set([...text.matchAll(pattern)].map((match) => match[1]))].sort();

  it("lists the codes that the program uses, all of them and no other", () => {
    const used = codes(sourceOf("src/", ".ts"), /"(CULVERT_[A-Z0-9_]+)"/g);
    expect(used.length).toBeGreaterThanOrEqual(40);
    expect(codes(read("docs/errors.md"), /`(CULVERT_[A-Z0-9_]+)`/g)).toEqual(used);
  });
});

describe("docs/limits.md", () => {
  it("names limits that exist, where it says, with their values", () => {
    const rows = [...read("docs/limits.md").matchAll(/^\| `([A-Z_]+)` \| ([\d,]+)/gm)];
    expect(rows.length).toBeGreaterThanOrEqual(10);
    const source = sourceOf("src/", ".ts") + sourceOf("native-bindings/include/", ".h");
    for (const [, name, value] of rows) {
      expect(source, name).toMatch(new RegExp(`\\b${name}\\b[^\\n]*=`));
      const literal = new RegExp(`\\b${name} = ([\\d_]+);`).exec(source)?.[1];
      if (literal === undefined || Number(literal.replaceAll("_", "")) > 1_000_000) continue;
      expect(Number(literal.replaceAll("_", "")), name).toBe(Number(value.replaceAll(",", "")));
    }
  });
});

describe("parseListenAddress", () => {
  it("splits host and port", () => {
    expect(parseListenAddress("127.0.0.1:9479")).toStrictEqual({ host: "127.0.0.1", port: 9479 });
    expect(parseListenAddress("[FD00::0:1]:80")).toStrictEqual({ host: "fd00::1", port: 80 });
  });

  it.each(["", ":80", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:080", "::1:80", "[127.0.0.1]:80"])(
    "refuses %j",
    (text) => {
      expect(parseListenAddress(text)).toBeUndefined();
    },
  );
});
