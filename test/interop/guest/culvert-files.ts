// An initramfs with culvert itself in it, where it lies on this machine: this Node.js, the built
// daemon, its addon and the packages it needs at run time. It is the usual initramfs with one more
// archive behind it, which the kernel unpacks over the first
// (Documentation/driver-api/early-userspace/buffer-format.rst). Not kept: it changes with every
// build, and is put together in a second.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cleanup } from "../../../src/testbed/cleanup.js";
import { temporaryFolder } from "../../../src/testbed/daemon.js";
import { culvertEntry, projectRoot } from "../../../src/testbed/project.js";
import { type GuestFiles, withLibraries } from "./build-guest.js";
import { type ArchiveEntry, archiveFile, makeArchive, withFolders } from "./cpio.js";

/** What the guest needs of memory: the unpacked files lie in it. */
export const culvertMemory_mib = 768;
/** An archive in an initramfs begins at a multiple of this. */
const alignment_bytes = 4;
const addon = join(projectRoot, "native-bindings", "build", "Release", "culvert.node");

function folderEntries(folder: string): ArchiveEntry[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile() && /\.(js|cjs|mjs|json)$/.test(file.name))
    .map((file) => join(file.parentPath, file.name))
    .map((path) => archiveFile(path.slice(1), readFileSync(path)));
}

/** The packages that are no development dependencies, as folders. */
function packageFolders(): string[] {
  const lock = JSON.parse(readFileSync(join(projectRoot, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean }>;
  };
  const names = Object.entries(lock.packages).filter(([name, { dev }]) => name !== "" && !dev);
  return names.map(([name]) => join(projectRoot, name));
}

/** The file of the initramfs; it goes with `cleanup`. */
export function culvertInitramfs({ initramfs }: GuestFiles, cleanup: Cleanup): string {
  const folders = [
    join(projectRoot, "dist"),
    join(projectRoot, "native-bindings", "dist"),
    ...packageFolders(),
  ];
  const manifest = join(projectRoot, "package.json");
  const archive = makeArchive(
    withFolders(
      [],
      [
        ...withLibraries(process.execPath),
        ...withLibraries(addon),
        archiveFile(manifest.slice(1), readFileSync(manifest)),
        ...folders.flatMap(folderEntries),
      ],
    ),
  );
  const first = readFileSync(initramfs);
  const padding = Buffer.alloc(-first.length & (alignment_bytes - 1));
  const file = join(temporaryFolder(cleanup, "initramfs"), "initramfs");
  writeFileSync(file, Buffer.concat([first, padding, archive]));
  return file;
}

/** The command line of culvert in the guest. */
export const culvertCommand = `${process.execPath} ${culvertEntry()}`;
