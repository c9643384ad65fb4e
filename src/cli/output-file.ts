// A file that is written at the end of something long, and opened at its beginning, so that a wrong
// path is found out before the time is spent. Until it is written, an existing file keeps its
// content, and a new one goes away with the Cleanup.

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  rmSync,
  writeSync,
} from "node:fs";
import { CulvertError } from "../errors.js";
import type { Cleanup } from "../testbed/cleanup.js";

export class OutputFile {
  readonly path: string;
  readonly #descriptor: number;
  #written = false;

  /** Throws CULVERT_OUTPUT_FILE when the file cannot be written. */
  constructor(path: string, cleanup: Cleanup) {
    this.path = path;
    const isNew = !existsSync(path);
    try {
      this.#descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o644);
    } catch (error) {
      throw this.#error(error);
    }
    cleanup.defer(path, () => {
      closeSync(this.#descriptor);
      if (isNew && !this.#written) rmSync(path, { force: true });
    });
  }

  /** Replaces the content. */
  write(text: string): void {
    const bytes = Buffer.from(text);
    try {
      // A pipe or a terminal has no length.
      if (fstatSync(this.#descriptor).isFile()) ftruncateSync(this.#descriptor);
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#descriptor, bytes, at);
    } catch (error) {
      throw this.#error(error);
    }
    this.#written = true;
  }

  #error(cause: unknown): CulvertError {
    const said = cause instanceof Error ? cause.message : String(cause);
    return new CulvertError("CULVERT_OUTPUT_FILE", `cannot write ${this.path}: ${said}`, {
      hint: "name a file in a folder that exists and that you may write to",
      cause,
    });
  }
}
