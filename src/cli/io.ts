// What a command may touch of the process: its output streams, its environment, Ctrl-C. Commands
// take it as an argument so that tests run them in the same process. Must not exit the process.

export interface CliIo {
  /** Writes text as it is; lines end in \n. */
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether `out` is a terminal: decides between refreshing in place and appending. */
  readonly isTerminal: boolean;
  /** Whether `err` is a terminal: decides whether progress is shown. */
  readonly errIsTerminal: boolean;
  /** Standard input, to its end. */
  readonly input: () => AsyncIterable<Uint8Array | string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * A signal that aborts at Ctrl-C. From the first call on Ctrl-C no longer ends the process by
   * itself.
   */
  readonly interrupted: () => AbortSignal;
}

/** Writes `value` as JSON, indented for people on a terminal and on one line for programs. */
export function writeJson(io: CliIo, value: unknown): void {
  io.out(`${io.isTerminal ? JSON.stringify(value, undefined, 2) : JSON.stringify(value)}\n`);
}

/**
 * `text` with control characters replaced: what came from another host or a file must not move the
 * cursor or change the colours of a terminal.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are looked for.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}
