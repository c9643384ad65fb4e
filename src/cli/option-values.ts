// Options whose values are numbers in a range or lists of known words, with errors that say what is
// expected. Shell completion reads the words of a list here.

import { Option } from "commander";
import { suggest } from "../config/suggest.js";
import { integer } from "./keyword-args.js";
import { usageError } from "./usage-error.js";

/** Beside the options, because commander has no place for them. */
const LIST_WORDS = new WeakMap<Option, readonly string[]>();

/** What a comma-separated list after `option` may be made of; undefined for other options. */
export function listWordsOf(option: Option): readonly string[] | undefined {
  return LIST_WORDS.get(option);
}

/** Throws CULVERT_USAGE for anything but a whole number in the range. */
export function parseNumber(option: string, text: string, min: number, max: number): number {
  const value = integer(text, min, max);
  if (value !== undefined) return value;
  throw usageError(
    `${option}: "${text}" is not a whole number from ${min} to ${max}`,
    `say ${option} ${min}, for example`,
  );
}

/**
 * The words of a comma-separated list, in the order of `words`. Throws CULVERT_USAGE for a word
 * that is not among them.
 */
export function parseList<T extends string>(
  option: string,
  text: string,
  words: readonly T[],
): T[] {
  const given = text.split(",").map((word) => word.trim());
  for (const word of given) {
    if ((words as readonly string[]).includes(word)) continue;
    const meant = suggest(word, words);
    throw usageError(
      `${option}: unknown "${word}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
      `any of, separated by commas: ${words.join(", ")}`,
    );
  }
  return words.filter((word) => given.includes(word));
}

/** `--rounds <n>`. */
export function numberOption(flags: string, description: string, min: number, max: number): Option {
  const option = new Option(flags, description);
  return option.argParser((text) => parseNumber(option.long!, text, min, max));
}

/** `--variants <list>`: a comma-separated list of `words`. */
export function listOption(flags: string, description: string, words: readonly string[]): Option {
  const option = new Option(flags, `${description}: ${words.join(",")}`);
  LIST_WORDS.set(option, words);
  return option.argParser((text) => parseList(option.long!, text, words));
}
