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

describe("docs/configuration.md", () => {
  const examples = [...manual.matchAll(/^```yaml\n(.*?)^```/gms)].map((match) => match[1]);

  it("has three examples, all right", () => {
    expect(examples).toHaveLength(3);
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
      ["mtu", defaultValues.mtu],
      ["allow", defaultValues.allow],
      ["udp_csum", defaultValues.udpCsum],
      ["learning", defaultValues.learning],
      ["ageing_s", defaultValues.ageing_s],
      ["max_entries", defaultValues.maxEntries],
      ["proxy", defaultValues.proxy],
      ["strict_reserved", defaultValues.strictReserved],
      ["inner_vlan", defaultValues.innerVlan],
      ["remote", defaultValues.ipipRemote],
      ["metric", defaultValues.routeMetric],
    ];
    for (const [key, value] of defaults) expect(documented.get(key), key).toBe(`\`${value}\``);
    expect(manual).toContain(`| \`port\` | 1..65535 | \`${defaultValues.vxlanPort}\` |`);
    expect(manual).toContain(`| \`ttl\` | 0..255 | \`${defaultValues.vxlanTtl}\` |`);
    expect(manual).toContain(`| \`ttl\` | 0..255 | \`${defaultValues.ipipTtl}\` |`);
    expect(manual).toContain(`at most ${configLimits.remotes} remotes`);
    expect(manual).toContain(`list of 1..${configLimits.tunnels} tunnels`);
  });
});

describe("docs/errors.md", () => {
  it("lists every code that the configuration uses", () => {
    const folder = new URL("src/config/", root);
    const source = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), "utf8"));
    const codes = source.join("").match(/"CULVERT_[A-Z0-9_]+"/g) ?? [];
    expect(codes.length).toBeGreaterThanOrEqual(6);
    const listed = read("docs/errors.md");
    for (const code of codes) expect(listed).toContain(`| \`${code.slice(1, -1)}\` |`);
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
