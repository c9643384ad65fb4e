// Writes an initramfs: a cpio archive in the "newc" format that the kernel unpacks
// (Documentation/driver-api/ early-userspace/buffer-format.rst). Folders, regular files and
// symbolic links; owner root, time 0.

const headerBytes = 110;
const alignment_bytes = 4;
const folderMode = 0o040755;
const linkMode = 0o120777;
const fileType = 0o100000;

export interface ArchiveEntry {
  /** Without a leading slash. */
  path: string;
  content: Buffer;
  mode: number;
}

/** A regular file; `permissions` 0o644 unless given. */
export function archiveFile(path: string, content: Buffer, permissions = 0o644): ArchiveEntry {
  return { path, content, mode: fileType | permissions };
}

export function archiveFolder(path: string): ArchiveEntry {
  return { path, content: Buffer.alloc(0), mode: folderMode };
}

export function archiveLink(path: string, target: string): ArchiveEntry {
  return { path, content: Buffer.from(target), mode: linkMode };
}

/** `entries` without doubles, with `folders` and all folders that their paths need in front. */
export function withFolders(
  folders: readonly string[],
  entries: readonly ArchiveEntry[],
): ArchiveEntry[] {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  const needed = new Set(folders);
  for (const path of byPath.keys()) {
    const parts = path.split("/").slice(0, -1);
    parts.forEach((_, i) => {
      needed.add(parts.slice(0, i + 1).join("/"));
    });
  }
  return [...[...needed].sort().map(archiveFolder), ...byPath.values()];
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & (alignment_bytes - 1))]);
}

function record({ path, content, mode }: ArchiveEntry, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  // Magic, then 13 fields of 8 hexadecimal digits: ino mode uid gid nlink mtime size devmajor
  // devminor rdevmajor rdevminor namesize check.
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
  if (header.length !== headerBytes) throw new Error(`a field of ${path} has no room`);
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(content)]);
}

/** The archive; folders must stand before what is in them. */
export function makeArchive(entries: readonly ArchiveEntry[]): Buffer {
  const trailer = { path: "TRAILER!!!", content: Buffer.alloc(0), mode: 0 };
  return Buffer.concat([...entries, trailer].map((entry, i) => record(entry, i + 1)));
}
