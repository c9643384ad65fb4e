// What is wrong with a configuration file, in one shape for all stages: YAML syntax, schema and
// cross-checks. A problem is data; only format.ts turns it into text for people.

/** Where a value stands in the document: mapping keys and list indexes from the root. */
export type Path = readonly (string | number)[];

/** One thing that is wrong, with its place in the file. */
export interface ConfigProblem {
  /** 1-based line of the offending key or value. */
  line: number;
  /** 1-based column, counted in UTF-16 code units. */
  column: number;
  /** Key path such as `tunnels[0].vni`; empty for the document itself. */
  key: string;
  /** What was expected, in words: "a whole number from 0 to 16777215". */
  expected: string;
  /** What stands there: `"abc"`, `16777216`, `nothing`, `a mapping`. */
  got: string;
}

/** A problem that knows its path and not yet its line; schema and cross-checks speak of these. */
export interface Finding {
  path: Path;
  /** Whether the place is the value (usual) or its key (unknown and repeated keys). */
  at: "key" | "value";
  expected: string;
  /** Described from the document unless given. */
  got?: string;
}

const GOT_MAX_LENGTH = 60;
const PLAIN_KEY = /^[A-Za-z0-9_-]+$/;

/** Quotes text so that a terminal shows it as it is: control characters are escaped. */
export function quote(text: string): string {
  const short = text.length > GOT_MAX_LENGTH ? `${text.slice(0, GOT_MAX_LENGTH)}...` : text;
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** `["tunnels", 0, "vni"]` -> `tunnels[0].vni`; keys that are not plain words are quoted. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else text += (text === "" ? "" : ".") + (PLAIN_KEY.test(step) ? step : quote(step));
  }
  return text;
}

/** Says what a value is, short enough for one line. `undefined` means that the key is missing. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value === "number") return `the number ${value}`;
  return String(value);
}
