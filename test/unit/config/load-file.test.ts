// Configuration files on disk: what is read, and what is refused with which code.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfigFile } from "../../../src/config/load.js";
import { CulvertError } from "../../../src/errors.js";
import { CONTRACT_EXAMPLE, rootWith } from "./documents.js";

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "culvert-config-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function errorOf(path: string): CulvertError {
  try {
    loadConfigFile(path);
  } catch (error) {
    if (error instanceof CulvertError) return error;
    throw error;
  }
  throw new Error("no error");
}

describe("loadConfigFile", () => {
  it("loads a file, with byte order mark and CRLF too", () => {
    const plain = loadConfigFile(write("plain.yaml", CONTRACT_EXAMPLE));
    expect(plain.config?.tunnels).toHaveLength(2);
    const dos = `\ufeff${CONTRACT_EXAMPLE.replaceAll("\n", "\r\n")}`;
    expect(loadConfigFile(write("dos.yaml", dos)).config).toStrictEqual(plain.config);
  });

  it("gives problems, file name and text of a wrong file", () => {
    const path = write("wrong.yaml", rootWith("workers: 0"));
    const { problems, text, config, ...rest } = loadConfigFile(path);
    expect(config).toBeUndefined();
    expect(problems).toHaveLength(1);
    expect(text).toBe(rootWith("workers: 0"));
    expect(rest).toStrictEqual({ fileName: path });
  });

  it("takes a file of exactly 1 MiB and refuses one byte more", () => {
    const full = `${rootWith("")}#`.padEnd(1 << 20, "x");
    expect(loadConfigFile(write("full.yaml", full)).config).toBeDefined();
    const error = errorOf(write("more.yaml", `${full}x`));
    expect(error).toMatchObject({ code: "CULVERT_CONFIG_TOO_LARGE", exit: 2 });
    expect(error.hint).toContain("culvert fdb add");
  });

  it("ends on an endless file", () => {
    expect(errorOf("/dev/zero").code).toBe("CULVERT_CONFIG_TOO_LARGE");
  });

  it("says that there is no such file", () => {
    const path = join(folder, "missing.yaml");
    const error = errorOf(path);
    expect(error).toMatchObject({ code: "CULVERT_CONFIG_NOT_FOUND", exit: 2 });
    expect(error.message).toBe(`there is no configuration file ${path}`);
    expect(error.hint).toContain("--config");
    const below = join(write("file", ""), "x.yaml");
    expect(errorOf(below).code).toBe("CULVERT_CONFIG_NOT_FOUND");
  });

  it("says that it is a directory", () => {
    const path = join(folder, "directory");
    mkdirSync(path);
    const error = errorOf(path);
    expect(error).toMatchObject({ code: "CULVERT_CONFIG_IS_DIRECTORY", exit: 2 });
    expect(error.hint).toContain("YAML file");
  });

  it("says which errno made it unreadable", () => {
    // A name beyond NAME_MAX fails for root too, whom file modes do not stop.
    const error = errorOf(join(folder, "n".repeat(300)));
    expect(error).toMatchObject({ code: "CULVERT_CONFIG_UNREADABLE", exit: 2 });
    expect(error.message).toContain("(ENAMETOOLONG)");
    expect(error.hint).toContain("readable");
  });

  it("names the line that is not UTF-8", () => {
    const bytes = Buffer.from("# one\n# two\nname: caf\u00e9\n", "latin1");
    const error = errorOf(write("latin1.yaml", bytes));
    expect(error).toMatchObject({ code: "CULVERT_CONFIG_NOT_UTF8", exit: 2 });
    expect(error.message).toContain("line 3 is not UTF-8");
  });
});
