// Loads the configuration: file -> text -> YAML tree -> schema -> cross-checks -> effective config.
// Every problem is reported at once. Content is never an exception; only a file that cannot be read
// is.

import { isUtf8 } from "node:buffer";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { CulvertError, ExitStatus } from "../errors.js";
import { configLimits } from "./default-values.js";
import { parseTree } from "./document-tree.js";
import { type Config, effectiveConfig } from "./effective.js";
import type { ConfigProblem, Finding } from "./problems.js";
import { checkSemantics } from "./semantics.js";
import { validate } from "./validate.js";

/** Either an effective config or at least one problem, in the order of the file. */
export type LoadResult =
  | { config: Config; problems?: never }
  | { config?: never; problems: ConfigProblem[]; fileName: string };

function placeOf({ line, column, key }: ConfigProblem): string {
  return `${line}:${column}:${key}`;
}

/** Sorted by place; what two checks say in the same words about one place is said once. */
function inFileOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const unique = new Map(problems.map((problem) => [JSON.stringify(problem), problem]));
  return [...unique.values()].sort((a, b) => a.line - b.line || a.column - b.column);
}

/** Loads configuration text; `fileName` is handed on for messages. Never throws. */
export function loadConfig(text: string, fileName: string): LoadResult {
  const { tree, problems } = parseTree(text);
  if (tree === undefined) return { problems: inFileOrder(problems), fileName };
  const { document, draft, findings } = validate(tree.value);
  const all: Finding[] = [...findings, ...checkSemantics(draft)];
  if (document !== undefined && all.length === 0 && problems.length === 0) {
    return { config: effectiveConfig(document) };
  }
  // A value that YAML could not give is reported as that, not as empty too.
  const broken = new Set(problems.map(placeOf));
  const located = all
    .map((finding) => tree.locate(finding))
    .filter((problem) => !broken.has(placeOf(problem)));
  return { problems: inFileOrder([...problems, ...located]), fileName };
}

/** What went wrong with the file itself, by errno. */
function fileError(path: string, cause: unknown): CulvertError {
  const errno = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const options = { exit: ExitStatus.usage, cause };
  if (errno === "ENOENT" || errno === "ENOTDIR") {
    return new CulvertError("CULVERT_CONFIG_NOT_FOUND", `there is no configuration file ${path}`, {
      ...options,
      hint: "Give the path of a YAML file with --config; docs/configuration.md has an example.",
    });
  }
  const reason = errno === "" ? "" : ` (${errno})`;
  return new CulvertError("CULVERT_CONFIG_UNREADABLE", `cannot read ${path}${reason}`, {
    ...options,
    hint: "Make the file readable for the user that culvert runs as.",
  });
}

/** Reads at most one byte more than the limit, so that endless files end too. */
function readBounded(path: string): Buffer {
  const limit_bytes = configLimits.fileSize_bytes;
  const fd = openSync(path, "r");
  try {
    if (fstatSync(fd).isDirectory()) {
      throw new CulvertError("CULVERT_CONFIG_IS_DIRECTORY", `${path} is a directory`, {
        exit: ExitStatus.usage,
        hint: "Give the path of the YAML file in it.",
      });
    }
    const buffer = Buffer.alloc(limit_bytes + 1);
    let length_bytes = 0;
    while (length_bytes < buffer.length) {
      const count = readSync(fd, buffer, length_bytes, buffer.length - length_bytes, null);
      if (count === 0) break;
      length_bytes += count;
    }
    return buffer.subarray(0, length_bytes);
  } finally {
    closeSync(fd);
  }
}

/**
 * 1-based line of the first bytes that are not UTF-8; a line feed never is part of a longer
 * sequence.
 */
function firstLineNotUtf8(bytes: Buffer): number {
  let line = 1;
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(0x0a, start);
    if (end < 0 || !isUtf8(bytes.subarray(start, end))) return line;
    start = end + 1;
    line++;
  }
}

/**
 * Reads a configuration file as text, without byte order mark.
 * @throws CulvertError with exit status 2: CULVERT_CONFIG_NOT_FOUND, _IS_DIRECTORY, _UNREADABLE,
 * _TOO_LARGE, _NOT_UTF8
 */
export function readConfigFile(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readBounded(path);
  } catch (cause) {
    throw cause instanceof CulvertError ? cause : fileError(path, cause);
  }
  if (bytes.length > configLimits.fileSize_bytes) {
    throw new CulvertError("CULVERT_CONFIG_TOO_LARGE", `${path} is larger than 1 MiB`, {
      exit: ExitStatus.usage,
      hint: "Check that it is the right file; `culvert fdb add` adds FDB entries too.",
    });
  }
  if (!isUtf8(bytes)) {
    const line = firstLineNotUtf8(bytes);
    throw new CulvertError("CULVERT_CONFIG_NOT_UTF8", `${path}: line ${line} is not UTF-8 text`, {
      exit: ExitStatus.usage,
      hint: "Save the file as UTF-8.",
    });
  }
  return new TextDecoder().decode(bytes);
}

/**
 * Loads a configuration file; `text` is what `formatProblems` quotes from.
 * @throws CulvertError as `readConfigFile` does
 */
export function loadConfigFile(path: string): LoadResult & { text: string } {
  const text = readConfigFile(path);
  return { ...loadConfig(text, path), text };
}
