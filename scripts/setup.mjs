// Brings a fresh clone to where demo or tests can run: Debian packages, npm packages, the builds.
// Does only what is missing, says what it does, and takes well under a second when nothing is
// missing.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import {
  isMain,
  isOnPath,
  projectRoot,
  runQuietly,
  runScript,
  ScriptError,
  step,
} from "./steps.mjs";

const oldestNode = 20;
const aptLockTimeout_s = 300;

/**
 * Debian package -> a command that shows it is there (for what was installed by other means); null:
 * ask dpkg.
 */
const demoPackages = {
  "g++": "g++",
  make: "make",
  python3: "python3",
  iproute2: "ip",
  iperf3: "iperf3",
  "iputils-ping": "ping",
  ethtool: "ethtool",
  procps: "sysctl",
};
const testPackages = {
  ...demoPackages,
  tshark: "tshark",
  "python3-scapy": null,
  tcpdump: "tcpdump",
  // Shells that completion is tried in.
  zsh: "zsh",
  fish: "fish",
  nftables: "nft",
  // A guest with a kernel that has ipip.
  "qemu-system-x86": "qemu-system-x86_64",
  "busybox-static": null,
};

function checkNode() {
  if (Number(process.versions.node.split(".")[0]) >= oldestNode) return;
  throw new ScriptError(
    `Node.js ${process.versions.node} is too old, ${oldestNode} or newer is needed`,
    "install a newer one from nodejs.org or nodesource.com",
  );
}

async function missingPackages(wanted) {
  const names = Object.keys(wanted);
  // dpkg-query lists what it knows and fails for what it does not: only the list counts.
  const format = "-f=$" + "{Package} $" + "{db:Status-Status}\n";
  const { output } = await runQuietly("dpkg-query", ["-W", format, ...names]);
  const installed = new Set(output.split("\n").filter((line) => line.endsWith(" installed")));
  return names.filter((name) => {
    const command = wanted[name];
    return !installed.has(`${name} installed`) && (command === null || !isOnPath(command));
  });
}

async function installDebianPackages(wanted) {
  const missing = await missingPackages(wanted);
  if (missing.length === 0) return;
  const byHand = `install by hand: ${missing.join(" ")}`;
  if (!isOnPath("apt-get")) {
    throw new ScriptError("packages are missing and this is not a Debian system", byHand);
  }
  if (process.getuid() !== 0) {
    const command = `apt-get install --no-install-recommends ${missing.join(" ")}`;
    throw new ScriptError("Debian packages are missing and only root can install them", command);
  }
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const lock = ["-o", `DPkg::Lock::Timeout=${aptLockTimeout_s}`, "-q"];
  const hint = `see the output above; or ${byHand}`;
  await step("Debian package lists (apt-get update)", "apt-get", [...lock, "update"], {
    env,
    hint,
  });
  const install = [...lock, "install", "-y", "--no-install-recommends", ...missing];
  await step(`Debian packages ${missing.join(" ")}`, "apt-get", install, { env, hint });
}

/**
 * True when node_modules holds exactly what package-lock.json asks for, as far as npm's own record
 * of it tells.
 */
function npmPackagesAreCurrent() {
  const record = join(projectRoot, "node_modules", ".package-lock.json");
  if (!existsSync(record)) return false;
  const { packages: present } = JSON.parse(readFileSync(record, "utf8"));
  const { packages: wanted } = JSON.parse(
    readFileSync(join(projectRoot, "package-lock.json"), "utf8"),
  );
  const differs = Object.entries(wanted).some(([path, { version, optional }]) => {
    if (path === "") return false;
    // An optional package is absent on the platforms it is not for.
    if (present[path] === undefined) return optional !== true;
    return (
      present[path].version !== version || !existsSync(join(projectRoot, path, "package.json"))
    );
  });
  return !differs && Object.keys(present).every((path) => wanted[path] !== undefined);
}

async function installNpmPackages() {
  if (npmPackagesAreCurrent()) return;
  // Started by npm, the npm that runs is the npm to use.
  const cli = process.env.npm_execpath;
  const npm = cli === undefined ? ["npm"] : [process.execPath, cli];
  const args = [...npm.slice(1), "ci", "--include=dev", "--no-audit", "--no-fund"];
  await step("npm packages (npm ci)", npm[0], args, {
    hint: "npm says why above; it must reach its registry (npm config get registry)",
  });
}

/**
 * Installs and builds what is missing.
 * @param {"demo" | "test"} purpose tests need more Debian packages
 */
export async function setup(purpose) {
  const started_ms = performance.now();
  process.stdout.write("setup: packages and builds\n");
  checkNode();
  await installDebianPackages(purpose === "test" ? testPackages : demoPackages);
  await installNpmPackages();
  await build();
  const took_s = ((performance.now() - started_ms) / 1000).toFixed(1);
  process.stdout.write(`setup: complete after ${took_s} s\n`);
}

if (isMain(import.meta.url)) {
  await runScript("setup", async () => {
    const { values } = parseArgs({ options: { for: { type: "string", default: "demo" } } });
    if (values.for !== "demo" && values.for !== "test") {
      throw new ScriptError(`--for=${values.for}: expected demo or test`);
    }
    await setup(values.for);
  });
}
