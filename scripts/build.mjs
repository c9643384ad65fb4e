// Builds what changed since the last successful build: the native addon (node-gyp), its TypeScript
// side, culvert itself (dist/). A stamp per part holds the hash of the
// sources it was made from.

import { chmodSync, existsSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import {
  contentHash,
  isMain,
  isStamped,
  listFiles,
  makeStamped,
  projectRoot,
  runScript,
  ScriptError,
  step,
} from "./steps.mjs";

const addon = join(projectRoot, "native-bindings", "build", "Release", "culvert.node");
const nativeSources = [
  "native-bindings/binding.gyp",
  "native-bindings/src",
  "native-bindings/include",
];

/** The TypeScript files directly in native-bindings/, as paths from the project's root. */
function nativeTypescript() {
  const names = readdirSync(join(projectRoot, "native-bindings"));
  return names.filter((name) => name.endsWith(".ts")).map((name) => `native-bindings/${name}`);
}

/**
 * TypeScript projects in the order they need each other; `sources` decide about a rebuild,
 * `from`/`to` are folders.
 */
const typescriptProjects = [
  {
    name: "native-bindings",
    config: "native-bindings/tsconfig.json",
    sources: nativeTypescript(),
    from: "native-bindings",
    to: "native-bindings/dist",
    output: "native-bindings/dist/index.js",
  },
  {
    name: "daemon",
    config: "tsconfig.build.json",
    sources: ["src"],
    from: "src",
    to: "dist",
    output: "dist/main.js",
  },
];

/** node-gyp comes with npm: next to the npm that started us, or next to the npm on the PATH. */
function findNodeGyp() {
  const candidates = [process.env.npm_config_node_gyp];
  if (process.env.npm_execpath !== undefined) {
    const npmFolder = dirname(dirname(process.env.npm_execpath));
    candidates.push(join(npmFolder, "node_modules", "node-gyp", "bin", "node-gyp.js"));
  }
  for (const folder of process.env.PATH.split(delimiter)) {
    const npm = join(folder, "npm");
    if (!existsSync(npm)) continue;
    const npmFolder = dirname(dirname(realpathSync(npm)));
    candidates.push(join(npmFolder, "node_modules", "node-gyp", "bin", "node-gyp.js"));
  }
  const found = candidates.find((path) => path !== undefined && existsSync(path));
  if (found !== undefined) return found;
  throw new ScriptError(
    "node-gyp not found beside npm",
    "npm install --global node-gyp, then retry",
  );
}

/** Where the headers of this Node.js lie; undefined when node-gyp has to download them. */
function headersPrefix() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, "include", "node", "node_api.h")) ? prefix : undefined;
}

async function buildAddon() {
  const hash = contentHash(nativeSources, [process.arch]);
  await makeStamped("addon", hash, compileAddon, addon);
}

async function compileAddon() {
  const prefix = headersPrefix();
  // A changed binding.gyp (or another Node.js) needs new makefiles; else make compiles what
  // changed.
  const recipe = contentHash(["native-bindings/binding.gyp"], [process.version, process.arch]);
  const configured = isStamped("addon-recipe", recipe) && existsSync(addon);
  const args = [
    findNodeGyp(),
    configured ? "build" : "rebuild",
    "--directory=native-bindings",
    "--jobs=max",
    ...(prefix === undefined ? [] : [`--nodedir=${prefix}`]),
  ];
  const hint =
    prefix === undefined
      ? "the headers of Node.js are not installed and had to be downloaded; or the compiler failed, see above"
      : "the compiler failed, see above";
  const title = `native addon (node-gyp ${args[1]})`;
  const compile = () => step(title, process.execPath, args, { hint });
  await (configured ? compile() : makeStamped("addon-recipe", recipe, compile, addon));
}

/** Removes compiled files whose source is gone, so that nothing stale can be imported. */
function removeStale({ from, to, sources }) {
  for (const file of listFiles(join(projectRoot, to))) {
    const inside = relative(join(projectRoot, to), file);
    const ofProject = from !== "." || sources.some((folder) => inside.startsWith(`${folder}/`));
    const source = join(projectRoot, from, inside.replace(/(\.d\.ts|\.js)(\.map)?$/, ".ts"));
    if (ofProject && !existsSync(source)) rmSync(file);
  }
}

async function buildTypescript(project) {
  const configs = ["tsconfig.base.json", project.config, "package-lock.json"];
  // The daemon compiles against the declarations of native-bindings.
  const declarations = project.name === "daemon" ? typescriptProjects[0].sources : [];
  const hash = contentHash([...configs, ...project.sources, ...declarations]);
  const stamp = project.name.replaceAll(" ", "-");
  const compiler = join(projectRoot, "node_modules", "typescript", "bin", "tsc");
  const compile = async () => {
    await step(`${project.name} (tsc)`, process.execPath, [compiler, "-p", project.config], {
      hint: "the compiler's messages stand above",
    });
    removeStale(project);
  };
  await makeStamped(stamp, hash, compile, join(projectRoot, project.output));
}

/**
 * Builds what is out of date.
 * @param {{ nativeOnly?: boolean }} [options] `nativeOnly`: only what is in native-bindings/
 */
export async function build({ nativeOnly = false } = {}) {
  await buildAddon();
  for (const project of nativeOnly ? typescriptProjects.slice(0, 1) : typescriptProjects) {
    await buildTypescript(project);
  }
  if (!nativeOnly) chmodSync(join(projectRoot, "dist", "main.js"), 0o755);
}

if (isMain(import.meta.url)) {
  await runScript("build", async () => {
    const { values } = parseArgs({ options: { native: { type: "boolean", default: false } } });
    await build({ nativeOnly: values.native });
    process.stdout.write("build: up to date\n");
  });
}
