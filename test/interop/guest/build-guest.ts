// Makes the emulated guest: the kernel image and modules of Debian's linux-image-cloud-amd64
// (downloaded, never installed), this machine's static busybox, and its iproute2, ping and python3
// with their libraries. The initramfs lies under build/guest/, named by a hash of its content, so
// it is made anew when a package or init.sh changes.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { TestbedError } from "../../../src/testbed/error.js";
import { runSync } from "../../../src/testbed/process.js";
import { projectRoot } from "../../../src/testbed/project.js";
import { dependencyOf, unpackedPackage } from "../debian-packages.js";
import { type ArchiveEntry, archiveFile, archiveLink, makeArchive, withFolders } from "./cpio.js";

const cache = join(projectRoot, "build", "guest");
const metaPackage = "linux-image-cloud-amd64";
const kernelPackage = /^linux-image-\d.*-cloud-amd64/;
/** In the order in which they must be loaded. */
const modules = [
  "drivers/virtio/virtio_ring",
  "drivers/virtio/virtio",
  "drivers/virtio/virtio_pci_modern_dev",
  "drivers/virtio/virtio_pci_legacy_dev",
  "drivers/virtio/virtio_pci",
  "net/core/failover",
  "drivers/net/net_failover",
  "drivers/net/virtio_net",
  "drivers/net/tun",
  "net/ipv4/tunnel4",
  "net/ipv4/ip_tunnel",
  "net/ipv4/ipip",
  "net/ipv6/sit",
  "net/ipv6/tunnel6",
  "net/ipv6/ip6_tunnel",
];

/** Programs that are needed of this machine, with the packages that bring them. */
const programs = {
  "qemu-system-x86_64": "qemu-system-x86",
  busybox: "busybox-static",
  ip: "iproute2",
  ping: "iputils-ping",
  python3: "python3",
  "dpkg-deb": "dpkg",
} as const;
/** Those that the guest gets as they are here; busybox has poorer ones. */
export const guestPrograms = ["ip", "ping", "python3"] as const;
/** What Python's interpreter must find to start without its library (-I -S); os.py is its landmark. */
const pythonFiles = [
  "os.py",
  ...["__init__", "aliases", "ascii", "utf_8"].map((m) => `encodings/${m}.py`),
];

export interface GuestFiles {
  kernel: string;
  initramfs: string;
}

function find(program: string): string | undefined {
  // Debian's own first: another python3 may have its library anywhere.
  const folders = ["/usr/bin", "/usr/sbin", "/sbin", ...(process.env.PATH ?? "").split(":")];
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/** The file of an installed program, links resolved. */
const programOf = (name: keyof typeof programs): string => realpathSync(find(name)!);

/** Why the guest cannot run here; undefined when it can, as far as installed programs tell. */
export function unmetGuestNeeds(): string | undefined {
  if (process.arch !== "x64")
    return `the guest is built for x86-64, this machine is ${process.arch}`;
  for (const [program, debianPackage] of Object.entries(programs)) {
    if (find(program) === undefined)
      return `${program} is missing: apt-get install ${debianPackage}`;
  }
  // ldd(1) fails for a program that needs no libraries.
  if (spawnSync("ldd", [find("busybox")!]).status === 0) {
    return "busybox is not the static one: apt-get install busybox-static";
  }
  return undefined;
}

/** Unpacks the kernel package; returns the kernel image and the folder of its modules. */
function unpackKernel(): { kernel: string; modulesFolder: string } {
  const folder = unpackedPackage(dependencyOf(metaPackage, kernelPackage), kernelPackage);
  const boot = join(folder, "boot");
  const image = readdirSync(boot).find((name) => name.startsWith("vmlinuz-"));
  if (image === undefined) throw new TestbedError(`${folder} has no kernel image`);
  const release = image.slice("vmlinuz-".length);
  return {
    kernel: join(boot, image),
    modulesFolder: join(folder, "lib", "modules", release, "kernel"),
  };
}

/** The libraries that a program or library of this machine needs, and itself, by their paths. */
export function withLibraries(path: string): ArchiveEntry[] {
  const libraries = Array.from(runSync(["ldd", path]).matchAll(/(\/\S+) \(0x/g), (m) => m[1]!);
  return [path, ...libraries].map((file) => archiveFile(file.slice(1), readFileSync(file), 0o755));
}

function pythonLibrary(): ArchiveEntry[] {
  const script = "import os; print(os.path.dirname(os.__file__))";
  const folder = runSync([find("python3")!, "-I", "-c", script]).trim();
  return pythonFiles.map((name) => {
    const file = join(folder, name);
    return archiveFile(file.slice(1), readFileSync(file));
  });
}

function archiveEntries(modulesFolder: string, init: Buffer): ArchiveEntry[] {
  const names = modules.map((path) => basename(path));
  const drivers = modules.map((path) => {
    const file = join(modulesFolder, `${path}.ko`);
    if (!existsSync(file)) throw new TestbedError(`the kernel package has no uncompressed ${file}`);
    return archiveFile(`modules/${basename(path)}.ko`, readFileSync(file));
  });
  const libraries = guestPrograms.flatMap((name) => withLibraries(programOf(name)));
  return withFolders(
    ["bin", "proc", "sys", "dev", "tmp"],
    [
      archiveFile("init", init, 0o755),
      archiveFile("bin/busybox", readFileSync(find("busybox")!), 0o755),
      archiveLink("bin/sh", "busybox"),
      archiveFile("modules/order", Buffer.from(`${names.join("\n")}\n`)),
      ...guestPrograms.map((name) => archiveLink(`programs/${name}`, programOf(name))),
      ...drivers,
      ...libraries,
      ...pythonLibrary(),
    ],
  );
}

/**
 * Kernel and initramfs of the guest, from the cache when nothing changed. Throws TestbedError when
 * apt cannot help.
 */
export function buildGuest(): GuestFiles {
  const { kernel, modulesFolder } = unpackKernel();
  mkdirSync(cache, { recursive: true });
  const init = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "init.sh"));
  const archive = makeArchive(archiveEntries(modulesFolder, init));
  const hash = createHash("sha256").update(archive).digest("hex").slice(0, 16);
  const initramfs = join(cache, `initramfs-${hash}.gz`);
  if (!existsSync(initramfs)) {
    const partial = `${initramfs}.partial-${process.pid}`;
    writeFileSync(partial, gzipSync(archive, { level: 1 }));
    renameSync(partial, initramfs);
  }
  return { kernel, initramfs };
}
