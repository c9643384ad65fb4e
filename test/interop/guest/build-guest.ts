// Makes the emulated guest from Debian packages: the kernel image and modules of
// linux-image-cloud-amd64 (downloaded, never installed) and this machine's static busybox. Kept
// under build/guest/ and made anew when any of it changes.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { TestbedError } from "../../../src/testbed/error.js";
import { projectRoot } from "../../../src/testbed/project.js";
import { type ArchiveEntry, archiveFile, archiveFolder, archiveLink, makeArchive } from "./cpio.js";

const cache = join(projectRoot, "build", "guest");
const metaPackage = "linux-image-cloud-amd64";
const packageTimeout_ms = 60_000;
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
  "net/ipv4/tunnel4",
  "net/ipv4/ip_tunnel",
  "net/ipv4/ipip",
];

/** Programs that the guest needs from this machine, with the packages that bring them. */
const programs = {
  "qemu-system-x86_64": "qemu-system-x86",
  busybox: "busybox-static",
  "dpkg-deb": "dpkg",
} as const;

export interface GuestFiles {
  kernel: string;
  initramfs: string;
}

function run(command: string, args: readonly string[], cwd?: string): string {
  const options = { encoding: "utf8", timeout: packageTimeout_ms, cwd } as const;
  const { status, stdout, stderr, error } = spawnSync(command, args, options);
  if (status === 0) return stdout;
  const said = error?.message ?? (stderr + stdout).trim();
  throw new TestbedError(`${command} ${args.join(" ")}: ${said}`);
}

function find(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

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

/** The kernel package's file in the cache, downloaded when it is not there yet. */
function kernelPackage(): string {
  mkdirSync(cache, { recursive: true });
  const cached = (): string | undefined =>
    readdirSync(cache).find((name) => /^linux-image-.*-cloud-amd64_.*\.deb$/.test(name));
  if (cached() === undefined) {
    const depends = run("apt-cache", ["depends", metaPackage]);
    const name = /Depends: (linux-image-\S+-cloud-amd64)$/m.exec(depends)?.[1];
    if (name === undefined) throw new TestbedError(`apt knows no package ${metaPackage}`);
    run("apt-get", ["download", "-q", name], cache);
  }
  return join(cache, cached()!);
}

/** Unpacks the kernel package; returns the kernel image and the folder of its modules. */
function unpackKernel(file: string): { kernel: string; modulesFolder: string } {
  const folder = join(cache, basename(file, ".deb"));
  if (!existsSync(folder)) {
    const partial = `${folder}.partial-${process.pid}`;
    run("dpkg-deb", ["-x", file, partial]);
    renameSync(partial, folder);
  }
  const boot = join(folder, "boot");
  const image = readdirSync(boot).find((name) => name.startsWith("vmlinuz-"));
  if (image === undefined) throw new TestbedError(`${file} has no kernel image`);
  const release = image.slice("vmlinuz-".length);
  return {
    kernel: join(boot, image),
    modulesFolder: join(folder, "lib", "modules", release, "kernel"),
  };
}

function archiveEntries(modulesFolder: string, init: Buffer): ArchiveEntry[] {
  const folders = ["bin", "proc", "sys", "dev", "tmp", "modules"].map(archiveFolder);
  const names = modules.map((path) => basename(path));
  const drivers = modules.map((path) => {
    const file = join(modulesFolder, `${path}.ko`);
    if (!existsSync(file)) throw new TestbedError(`the kernel package has no uncompressed ${file}`);
    return archiveFile(`modules/${basename(path)}.ko`, readFileSync(file));
  });
  return [
    ...folders,
    archiveFile("init", init, 0o755),
    archiveFile("bin/busybox", readFileSync(find("busybox")!), 0o755),
    archiveLink("bin/sh", "busybox"),
    archiveFile("modules/order", Buffer.from(`${names.join("\n")}\n`)),
    ...drivers,
  ];
}

/**
 * Kernel and initramfs of the guest, from the cache when nothing changed. Throws TestbedError when
 * apt cannot help.
 */
export function buildGuest(): GuestFiles {
  const { kernel, modulesFolder } = unpackKernel(kernelPackage());
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
