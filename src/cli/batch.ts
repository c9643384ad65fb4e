// `-b FILE` of `culvert fdb` and `culvert neigh`: many changes from a file or standard input, one
// on a line, as `bridge -batch` and `ip -batch` take them. Sent many at a time and made in order.
// What a line may say is the business of the command.

import { createReadStream } from "node:fs";
import { setImmediate } from "node:timers/promises";
import type { Command } from "commander";
import { MAX_BATCH_CHANGES } from "../control/paths.js";
import type { Batch, BatchFailure, BatchResult } from "../control/target.js";
import { CulvertError, ExitStatus } from "../errors.js";
import type { DaemonOptions } from "./command.js";
import type { CliIo } from "./io.js";
import { reportError } from "./report-error.js";
import { usageError } from "./usage-error.js";

/** Lines after which what is on its way to the daemon gets its turn. */
const LINES_PER_TURN = 500;
/** A longer line is none of ours: the longest change has some 200 characters. */
const MAX_LINE_CHARS = 64 * 1024;
/** Without anything to say so, a batch is done within this time. */
const PROGRESS_MS = 1000;

export interface BatchLines<Change> {
  /** The word that a line may begin with, as for `bridge -batch`: `fdb`. */
  readonly object: string;
  /** A line's words, from the operation on -> a change, or what it does instead. */
  readonly parse: (words: string[]) => Change | (() => Promise<void>);
  readonly send: (batch: Batch<Change>) => Promise<BatchResult>;
}

export interface BatchOptions extends DaemonOptions {
  batch?: string;
  force?: true;
}

/** Adds the options of a batch to a command. */
export function withBatchOptions(command: Command): Command {
  return command
    .option("-b, --batch <file>", "make the changes of a file, one on a line; - is standard input")
    .option("--force", "go on after a change of a batch that is refused");
}

/**
 * Makes the changes of a file. Prints each refusal with its line; the first one ends the batch,
 * unless forced. Throws what concerns the batch as a whole: no such file, no daemon.
 * @returns failed when a line was
 */
export async function runBatchFile<Change>(
  io: CliIo,
  options: BatchOptions,
  lines: BatchLines<Change>,
): Promise<ExitStatus> {
  const file = options.batch as string;
  const input = file === "-" ? io.input() : createReadStream(file);
  const sender = new Sender(io, file, options, lines);
  try {
    for await (const block of lineBlocks(input)) {
      if (!(await sender.take(block))) break;
    }
  } catch (error) {
    throw asFileError(file, error);
  }
  await sender.flush();
  sender.endProgress();
  return sender.failures > 0 ? ExitStatus.failed : ExitStatus.done;
}

interface Line {
  /** From 1; of a continued line the last. */
  readonly number: number;
  readonly words: string[];
}

/** Gathers changes and sends them; remembers the line of each. */
class Sender<Change> {
  failures = 0;
  readonly #io: CliIo;
  readonly #file: string;
  readonly #options: BatchOptions;
  readonly #lines: BatchLines<Change>;
  #inFlight: Promise<void> = Promise.resolve();
  #changes: Change[] = [];
  #numbers: number[] = [];
  #done = 0;
  readonly #started_ms = performance.now();
  #shown = false;

  constructor(io: CliIo, file: string, options: BatchOptions, lines: BatchLines<Change>) {
    this.#io = io;
    this.#file = file;
    this.#options = options;
    this.#lines = lines;
  }

  get #mayGoOn(): boolean {
    return this.failures === 0 || this.#options.force === true;
  }

  /** @returns false when the batch has ended at a refusal */
  async take(block: readonly Line[]): Promise<boolean> {
    for (const [index, { number, words }] of block.entries()) {
      if (index % LINES_PER_TURN === 0) await setImmediate();
      const step = this.#parse(words);
      if (typeof step === "object" && !(step instanceof CulvertError)) {
        this.#changes.push(step);
        this.#numbers.push(number);
        if (this.#changes.length === MAX_BATCH_CHANGES) await this.#send();
      } else {
        // What stands before it comes before it.
        await this.flush();
        if (this.#mayGoOn) await this.#doAlone(number, step);
      }
      if (!this.#mayGoOn) return false;
    }
    return true;
  }

  /** Sends what has gathered, and waits until all is done. */
  async flush(): Promise<void> {
    await this.#send();
    await this.#inFlight;
  }

  /** Sends what has gathered once the batch before is done; the next lines are read meanwhile. */
  async #send(): Promise<void> {
    await this.#inFlight;
    if (this.#changes.length === 0 || !this.#mayGoOn) return;
    this.#inFlight = this.#exchange(this.#changes, this.#numbers);
    // Whoever waits for it hears of a failure; that nobody does yet is no failure of its own.
    this.#inFlight.catch(() => undefined);
    this.#changes = [];
    this.#numbers = [];
  }

  async #exchange(changes: Change[], numbers: readonly number[]): Promise<void> {
    const result = await this.#lines.send({ changes, force: this.#options.force });
    this.#done += result.done;
    for (const failure of result.failures) this.#fail(numbers[failure.index], failure);
    this.#showProgress();
  }

  endProgress(): void {
    if (this.#shown) this.#io.err("\n");
  }

  #parse(words: string[]): (Change & object) | (() => Promise<void>) | CulvertError {
    try {
      const own = words[0] === this.#lines.object ? words.slice(1) : words;
      return this.#lines.parse(own) as (Change & object) | (() => Promise<void>);
    } catch (error) {
      if (error instanceof CulvertError) return error;
      throw error;
    }
  }

  async #doAlone(number: number, step: (() => Promise<void>) | CulvertError): Promise<void> {
    if (step instanceof CulvertError) return this.#fail(number, step);
    try {
      await step();
    } catch (error) {
      if (!(error instanceof CulvertError) || error.exit === ExitStatus.noDaemon) throw error;
      this.#fail(number, error);
    }
  }

  #fail(number: number, failure: Omit<BatchFailure, "index">): void {
    this.failures++;
    const json = this.#options.json === true;
    const place = { file: this.#file, line: number };
    const line = `Command failed ${this.#file}:${number}`;
    reportError(this.#io, failure, json, { fields: place, line });
  }

  #showProgress(): void {
    const tooSoon = performance.now() - this.#started_ms < PROGRESS_MS;
    if (tooSoon || !this.#io.errIsTerminal || this.#options.json === true) return;
    this.#shown = true;
    this.#io.err(`\r${this.#done} changes made`);
  }
}

/**
 * Blocks of lines as they come in: split into words, without comments and empty lines, continued
 * ones (backslash at the end) joined.
 */
async function* lineBlocks(input: AsyncIterable<Uint8Array | string>): AsyncGenerator<Line[]> {
  const decoder = new TextDecoder();
  let rest = "";
  let number = 0;
  let continued = "";
  const linesOf = (texts: readonly string[]): Line[] => {
    const lines: Line[] = [];
    for (const text of texts) {
      number++;
      const comment = text.indexOf("#");
      const said = continued + (comment < 0 ? text : text.slice(0, comment)).trimEnd();
      continued = said.endsWith("\\") ? `${said.slice(0, -1)} ` : "";
      if (continued !== "") continue;
      const words = wordsOf(said);
      if (words.length > 0) lines.push({ number, words });
    }
    return lines;
  };
  for await (const chunk of input) {
    const text = typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    const texts = (rest + text).split("\n");
    rest = texts.pop() ?? "";
    yield linesOf(texts);
    if (rest.length + continued.length > MAX_LINE_CHARS) throw lineTooLong(number + 1);
  }
  yield linesOf([rest, ""]);
}

/** As iproute2 does (lib/utils.c, makeargs): a word may stand in quotes of either kind. */
function wordsOf(line: string): string[] {
  if (!/["']/.test(line)) return line.split(/\s+/).filter((word) => word !== "");
  const words = line.matchAll(/"([^"]*)"|'([^']*)'|\S+/g);
  return Array.from(words, ([all, double, single]) => double ?? single ?? all);
}

/** What is no text of lines must not be gathered without end. */
function lineTooLong(number: number): CulvertError {
  const what = `line ${number} is longer than ${MAX_LINE_CHARS} characters`;
  return usageError(what, "one change stands on a line; is this the right file?");
}

function asFileError(file: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof CulvertError || code === undefined || syscall === undefined) return error;
  const why = code === "ENOENT" ? "No such file or directory" : code;
  return usageError(`Cannot open file "${file}" for reading: ${why}`, "- is standard input");
}
