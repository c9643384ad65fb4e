// Builds the native addon with AddressSanitizer and UndefinedBehaviorSanitizer into
// native-bindings/build/asan/, from the sources that binding.gyp lists; skipped when up to date.
// For tests only: test/native/asan.test.ts loads it.

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { contentHash, isMain, makeStamped, projectRoot, runScript, step } from "./steps.mjs";

const folder = join(projectRoot, "native-bindings");
const output = join(folder, "build", "asan", "culvert.node");
const flags = [
  ...["-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"],
  ...["-fno-omit-frame-pointer", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"],
];

/** binding.gyp is a Python literal that is JSON as well, as long as it has no comments. */
function sources() {
  const { targets } = JSON.parse(readFileSync(join(folder, "binding.gyp"), "utf8"));
  return targets[0].sources;
}

/**
 * node_api.h: beside this Node.js, else where node-gyp keeps what it downloaded for the ordinary
 * build.
 */
function headers() {
  const home = process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? "/root", ".cache");
  const candidates = [
    join(dirname(dirname(process.execPath)), "include", "node"),
    join(home, "node-gyp", process.versions.node, "include", "node"),
  ];
  return candidates.find((path) => existsSync(join(path, "node_api.h"))) ?? candidates[0];
}

/** Builds what is out of date; answers the path of the addon. */
export async function buildAsan() {
  const inputs = ["binding.gyp", "src", "include"].map((name) => `native-bindings/${name}`);
  const hash = contentHash(inputs, [...flags, process.version, process.arch]);
  const compile = async () => {
    mkdirSync(dirname(output), { recursive: true });
    const files = sources().map((name) => join(folder, name));
    const include = [`-I${join(folder, "include")}`, `-I${headers()}`];
    const defines = ["-DNAPI_VERSION=8", "-DNODE_GYP_MODULE_NAME=culvert"];
    await step(
      "native addon with AddressSanitizer",
      "g++",
      [...[...flags, ...include, ...defines, ...files], ...["-o", output]],
      { hint: "the compiler's messages stand above" },
    );
  };
  await makeStamped("addon-asan", hash, compile, output);
  return output;
}

if (isMain(import.meta.url)) {
  await runScript("build-asan", async () => {
    process.stdout.write(`${await buildAsan()}\n`);
  });
}
