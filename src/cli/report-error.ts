// How an error is shown: two lines for people, an object for programs. Knows no command.

import type { CulvertError } from "../errors.js";
import { type CliIo, printable } from "./io.js";

/** @param more further fields of the object, and a line of their own, such as `Command failed -:4` */
export function reportError(
  io: CliIo,
  { code, message, hint }: Pick<CulvertError, "code" | "message"> & { hint?: string | undefined },
  json: boolean,
  more?: { readonly fields: object; readonly line: string },
): void {
  if (json) {
    io.err(`${JSON.stringify({ error: { code, message, hint, ...more?.fields } })}\n`);
    return;
  }
  io.err(`culvert: ${printableLines(message)}\n`);
  if (hint !== undefined) io.err(`hint: ${printableLines(hint)}\n`);
  if (more !== undefined) io.err(`${printable(more.line)}\n`);
}

/** Like `printable`, but a message may have several lines. */
function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}
