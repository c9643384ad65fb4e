// A large FDB: how long a batch of entries takes to load, what memory they hold, and that lookups
// and learning still work. `batch` is the same with fewer entries.

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Daemon, temporaryFolder } from "../../src/testbed/daemon.js";
import { culvertEntry } from "../../src/testbed/project.js";
import {
  countOption,
  createPair,
  type Row,
  residentMib,
  type Scale,
  withCleanup,
} from "./harness.js";

const MAX_ENTRIES = 1_048_576;
const LOAD_PATIENCE_MS = 300_000;
const LINES_PER_WRITE = 4096;

function config(entries: number): string {
  return `tunnels:
  - name: vxlan100
    type: vxlan
    vni: 100
    local: 10.57.4.20
    addresses: [10.99.0.1/24]
    max_entries: ${entries}
    remotes: []
`;
}

/** MAC address number `n`, locally administered. */
function macNumber(n: number): string {
  const bytes = [0x02, 0xfd, n >>> 24, n >>> 16, n >>> 8, n].map((byte) => byte & 0xff);
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** A file as `bridge -batch` takes it, entries spread over 200 remotes. */
async function writeBatchFile(file: string, entries: number): Promise<void> {
  const stream = createWriteStream(file);
  for (let n = 0; n < entries; ) {
    const lines: string[] = [];
    for (const end = Math.min(entries, n + LINES_PER_WRITE); n < end; n++) {
      lines.push(`fdb add ${macNumber(n)} dev vxlan100 dst 10.57.5.${1 + (n % 200)}\n`);
    }
    if (!stream.write(lines.join(""))) await once(stream, "drain");
  }
  stream.end();
  await once(stream, "close");
}

async function measure(entries: number): Promise<readonly Row[]> {
  return withCleanup(async (cleanup) => {
    const { host } = createPair(cleanup);
    const folder = temporaryFolder(cleanup, "scale");
    const file = join(folder, "entries");
    await writeBatchFile(file, entries);
    const daemon = await Daemon.start({ namespace: host, cleanup, config: config(entries) });
    const empty_mib = residentMib(daemon.pid);
    const started_ms = performance.now();
    const argv = [process.execPath, culvertEntry(), "fdb", "-b", file, "--socket", daemon.socket];
    const loaded = await host.spawn(argv).wait(LOAD_PATIENCE_MS);
    const load_s = (performance.now() - started_ms) / 1000;
    if (loaded.status !== 0) throw new Error(`culvert fdb -b: ${loaded.stderr.slice(0, 500)}`);
    const full_mib = residentMib(daemon.pid);
    const last = macNumber(entries - 1);
    const { stdout } = await daemon.culvert("fdb", "show", "dev", "vxlan100", last);
    if (!stdout.includes(last)) throw new Error(`the last entry is missing: ${stdout}`);
    const refused = await daemon.culvert(
      ...["fdb", "add", "02:00:00:00:00:0b", "dev", "vxlan100", "dst", "10.57.4.21"],
    );
    if (refused.status === 0) throw new Error("a full FDB took one more entry");
    const { status } = await daemon.stop();
    if (status !== 0) throw new Error(`the daemon ended with ${status}: ${daemon.log}`);
    return [
      { what: "FDB entries", value: entries, unit: "" },
      { what: "load", value: load_s, unit: "s" },
      { what: "load", value: entries / load_s, unit: "entries/s" },
      { what: "resident, empty", value: empty_mib, unit: "MiB" },
      { what: "resident, full", value: full_mib, unit: "MiB" },
      { what: "the entries", value: full_mib - empty_mib, unit: "MiB" },
    ];
  });
}

function scaleOf(name: string, otherwise: number, what: string): Scale {
  return {
    usage: `${name} [--entries N]      ${what}`,
    async run(args: readonly string[]): Promise<readonly Row[]> {
      const options = { entries: { type: "string" } } as const;
      const { values } = parseArgs({ args: [...args], options });
      return measure(countOption(values.entries, otherwise, MAX_ENTRIES));
    },
  };
}

export const scale = scaleOf("fdb", MAX_ENTRIES, "a full FDB of 1,048,576 entries: load, memory");
export const batch = scaleOf("batch", 100_000, "100,000 entries by `culvert fdb -b`: time");
