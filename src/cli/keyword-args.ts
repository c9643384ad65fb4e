// Parser for iproute2's way of writing arguments: words in any order, some followed by a value
// (`dev vxlan100 dst 10.57.4.21`), some alone (`permanent`), and one value that stands without its
// word (`fdb add 02:00:00:00:00:0b ...`). No abbreviations. Knows nothing of any command.

import { isIP } from "node:net";
import { suggest } from "../config/suggest.js";
import { usageError } from "./usage-error.js";

/** What a value must look like. Each kind yields a string or a number. */
interface ValueKinds {
  mac: string;
  ip: string;
  device: string;
  /** Of entries that are looked for. */
  nud: "permanent" | "noarp" | "all";
  /** Of an entry that is made. */
  lastingNud: "permanent" | "noarp";
  /** Of FDB entries that are looked for. */
  state: string;
  vni: number;
  port: number;
}
export type ValueKind = keyof ValueKinds;

export interface Grammar {
  /** For the hint of every error: `culvert fdb add MAC dev NAME dst IP`. */
  readonly usage: string;
  /** Words followed by a value. */
  readonly values: Readonly<Record<string, ValueKind>>;
  /** Words that stand alone. */
  readonly flags?: readonly string[];
  /** The word of `values` that may be left out before its value. */
  readonly bare?: string;
  /** Words of `values` that must be given. */
  readonly required?: readonly string[];
  /** Words that iproute2 knows and culvert does not take, each with the reason. */
  readonly refused?: Readonly<Record<string, string>>;
}

export interface ParsedWords<G extends Grammar> {
  readonly values: { readonly [W in keyof G["values"]]?: ValueKinds[G["values"][W]] };
  readonly flags: ReadonlySet<string>;
}

interface Check {
  readonly expected: string;
  /** Every value there is, where they can be listed. */
  readonly choices?: readonly string[];
  /** undefined: not such a value. */
  readonly parse: (text: string) => string | number | undefined;
}

/** A check for one of a few words. */
function wordCheck(...choices: readonly string[]): Check {
  const quoted = choices.map((choice) => `"${choice}"`);
  const expected = `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
  return { expected, choices, parse: (text) => (choices.includes(text) ? text : undefined) };
}

const CHECKS: Readonly<Record<ValueKind, Check>> = {
  mac: {
    expected: "a MAC address such as 02:00:00:00:00:0b",
    parse: (text) =>
      /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) ? text.toLowerCase() : undefined,
  },
  ip: {
    expected: "an IPv4 or IPv6 address",
    parse: (text) => (isIP(text) !== 0 && !text.includes("%") ? text : undefined),
  },
  device: {
    expected: "a device name of at most 15 characters",
    parse: (text) => (/^[^\s/]{1,15}$/.test(text) ? text : undefined),
  },
  nud: wordCheck("permanent", "noarp", "all"),
  lastingNud: wordCheck("permanent", "noarp"),
  state: wordCheck("permanent", "static", "dynamic", "reachable", "all"),
  vni: { expected: "a VNI, 0 to 16777215", parse: (text) => integer(text, 0, 0xffffff) },
  port: { expected: "a UDP port, 1 to 65535", parse: (text) => integer(text, 1, 65535) },
};

export function integer(text: string, min: number, max: number): number | undefined {
  if (!/^[0-9]{1,8}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

/** What a value of this kind looks like, and every such value where they can be listed. */
export function describeValue(kind: ValueKind): { expected: string; choices: readonly string[] } {
  const { expected, choices = [] } = CHECKS[kind];
  return { expected, choices };
}

/**
 * Parses `words` by `grammar`. Throws CULVERT_USAGE (exit status 2) for an unknown, doubled or
 * missing word and for a missing or wrong value; the message names the word.
 */
export function parseWords<const G extends Grammar>(
  words: readonly string[],
  grammar: G,
): ParsedWords<G> {
  const values: Record<string, string | number> = {};
  const flags = new Set<string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (Object.hasOwn(grammar.values, word)) {
      i++;
      setValue(grammar, values, word, words[i]);
    } else if (grammar.flags?.includes(word)) {
      if (flags.has(word)) throw usageError(`"${word}" is given twice`, usageHint(grammar));
      flags.add(word);
    } else {
      setBareValue(grammar, values, word);
    }
  }
  for (const word of grammar.required ?? []) {
    if (!(word in values))
      throw usageError(`missing ${describe(grammar, word)}`, usageHint(grammar));
  }
  return { values: values as ParsedWords<G>["values"], flags };
}

function setValue(
  grammar: Grammar,
  values: Record<string, string | number>,
  word: string,
  text: string | undefined,
): void {
  const check = CHECKS[grammar.values[word]];
  if (text === undefined) {
    throw usageError(`"${word}" needs a value: ${check.expected}`, usageHint(grammar));
  }
  if (word in values) throw usageError(`"${word}" is given twice`, usageHint(grammar));
  const value = check.parse(text);
  if (value === undefined) {
    throw usageError(`${word}: "${text}" is not ${check.expected}`, usageHint(grammar));
  }
  values[word] = value;
}

/** A word that is none of the grammar's: the value that may stand alone, or a mistake. */
function setBareValue(
  grammar: Grammar,
  values: Record<string, string | number>,
  text: string,
): void {
  const { bare } = grammar;
  const value = bare === undefined ? undefined : CHECKS[grammar.values[bare]].parse(text);
  if (bare !== undefined && value !== undefined) {
    if (bare in values) {
      throw usageError(
        `${describe(grammar, bare)} is given twice: "${values[bare]}" and "${text}"`,
        usageHint(grammar),
      );
    }
    values[bare] = value;
    return;
  }
  if (grammar.refused !== undefined && Object.hasOwn(grammar.refused, text)) {
    throw usageError(`"${text}" is not supported: ${grammar.refused[text]}`, usageHint(grammar));
  }
  const meant = suggest(text, [...Object.keys(grammar.values), ...(grammar.flags ?? [])]);
  if (meant !== undefined) {
    throw usageError(`unknown word "${text}"; did you mean "${meant}"?`, usageHint(grammar));
  }
  if (bare !== undefined && !(bare in values)) {
    const { expected } = CHECKS[grammar.values[bare]];
    throw usageError(`"${text}" is not ${expected}`, usageHint(grammar));
  }
  throw usageError(`unknown word "${text}"`, usageHint(grammar));
}

/** How a missing or doubled word is named: the bare value by what it is, others by their word. */
function describe(grammar: Grammar, word: string): string {
  const names: Record<ValueKind, string> = {
    mac: "MAC",
    ip: "IP",
    device: "NAME",
    nud: "STATE",
    lastingNud: "STATE",
    state: "STATE",
    vni: "VNI",
    port: "PORT",
  };
  const name = names[grammar.values[word]];
  return word === grammar.bare ? `the ${name} address` : `"${word} ${name}"`;
}

function usageHint(grammar: Grammar): string {
  return `usage: ${grammar.usage}`;
}
