// Debian packages as test material: downloaded by apt-get and unpacked into build/debian/, never
// installed, so that nothing of them is started or found by anyone else. The folder's name is the
// package's file name, which has its version: a newer package in apt's lists is another folder.
// Without network the newest of what lies there is taken.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { TestbedError } from "../../src/testbed/error.js";
import { projectRoot } from "../../src/testbed/project.js";

const cache = join(projectRoot, "build", "debian");
const packageTimeout_ms = 60_000;

function run(command: string, args: readonly string[], cwd?: string): string {
  const options = { encoding: "utf8", timeout: packageTimeout_ms, cwd } as const;
  const { status, stdout, stderr, error } = spawnSync(command, args, options);
  if (status === 0) return stdout;
  const said = error?.message ?? (stderr + stdout).trim();
  throw new TestbedError(`${command} ${args.join(" ")}: ${said}`);
}

/** The package that a metapackage stands for: the first it depends on whose name matches. */
export function dependencyOf(metaPackage: string, name: RegExp): string | undefined {
  const { stdout } = spawnSync("apt-cache", ["depends", metaPackage], { encoding: "utf8" });
  const depends = Array.from(stdout.matchAll(/Depends: (\S+)$/gm), (match) => match[1]!);
  return depends.find((dependency) => name.test(dependency));
}

/** Name of the file that `apt-get download` makes now; undefined when apt does not know. */
function wantedFile(name: string): string | undefined {
  const args = ["show", "--no-all-versions", name];
  const { stdout } = spawnSync("apt-cache", args, { encoding: "utf8" });
  const field = (key: string): string | undefined =>
    new RegExp(`^${key}: (\\S+)$`, "m").exec(stdout)?.[1];
  const version = field("Version")?.replaceAll(":", "%3a");
  return version === undefined ? undefined : `${name}_${version}_${field("Architecture")}.deb`;
}

const unpackedFolders = (name: RegExp): string[] =>
  readdirSync(cache)
    .filter((folder) => name.test(folder) && !folder.includes(".partial-"))
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));

function unpack(name: string, file: string): string {
  const folder = join(cache, file.slice(0, -".deb".length));
  if (existsSync(folder)) return folder;
  const partial = `${folder}.partial-${process.pid}`;
  try {
    mkdirSync(partial, { recursive: true });
    run("apt-get", ["download", "-q", "-o", "APT::Sandbox::User=root", name], partial);
    run("dpkg-deb", ["-x", join(partial, file), join(partial, "root")]);
    renameSync(join(partial, "root"), folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return folder;
}

/**
 * The folder of an unpacked package: that of apt's candidate, or, when it cannot be had, the newest
 * that is there of those whose folder matches `known`. Throws TestbedError when there is none.
 * @param name undefined: apt knows none
 */
export function unpackedPackage(name: string | undefined, known: RegExp): string {
  mkdirSync(cache, { recursive: true });
  const file = name === undefined ? undefined : wantedFile(name);
  try {
    if (name === undefined || file === undefined) {
      throw new TestbedError(`apt knows no package like ${known}: apt-get update`);
    }
    return unpack(name, file);
  } catch (error) {
    const older = unpackedFolders(known).at(-1);
    if (older === undefined) throw error;
    return join(cache, older);
  }
}
