// Runs the zod schema over plain values and turns its issues into findings: what was expected, and
// where. Also makes the draft that the cross-checks read: the document without the values that are
// already known to be wrong, so that one mistake does not hide another.

import type { z } from "zod";
import type { Finding, Path } from "./problems.js";
import { quote } from "./problems.js";
import { type ConfigDocument, configSchema, knownKeysOf, typelessTunnelSchema } from "./schema.js";
import { insteadOf, suggest } from "./suggest.js";

type Issue = z.core.$ZodIssue;

/**
 * A document of which any part may be missing; a key whose value was wrong is there and undefined.
 */
export type Draft<T> = T extends readonly (infer Item)[]
  ? (Draft<Item> | undefined)[]
  : T extends object
    ? { [Key in keyof T]?: Draft<T[Key]> | undefined }
    : T;

export interface Validation {
  /** The document when the schema found nothing wrong. */
  document: ConfigDocument | undefined;
  draft: Draft<ConfigDocument>;
  findings: Finding[];
}

/** Steps of zod paths are keys and indexes here; symbols cannot come from YAML. */
function toPath(path: readonly PropertyKey[]): Path {
  return path.map((step) => (typeof step === "number" ? step : String(step)));
}

/** Follows `path`; undefined where there is nothing. */
function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step))
      return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}

function unknownKeys(issue: Issue & { code: "unrecognized_keys" }, base: Path): Finding[] {
  const known = knownKeysOf(issue.message);
  return issue.keys.map((key) => {
    const near = suggest(key, known);
    const others = insteadOf(key) ?? `one of the keys ${known.join(", ")}`;
    const expected = near === undefined ? others : `a known key (did you mean ${near}?)`;
    return { path: [...base, key], at: "key", expected, got: `the unknown key ${quote(key)}` };
  });
}

/**
 * Whether an issue says that the value is of another kind altogether, so that this branch was not
 * meant.
 */
function isOtherKind(issue: Issue): boolean {
  const { code } = issue;
  return issue.path.length === 0 && (code === "invalid_type" || code === "invalid_value");
}

function findingsOf(issue: Issue, base: Path, root: unknown): Finding[] {
  const path = [...base, ...toPath(issue.path)];
  if (issue.code === "unrecognized_keys") return unknownKeys(issue, path);
  if (issue.code === "invalid_union") {
    const meant = issue.errors.filter((branch) => !branch.some(isOtherKind));
    if (meant.length === 1) return meant[0].flatMap((inner) => findingsOf(inner, path, root));
  }
  const findings: Finding[] = [{ path, at: "value", expected: issue.message }];
  if (issue.code === "invalid_union" && issue.discriminator !== undefined) {
    const tunnelPath = path.slice(0, -1);
    const { error } = typelessTunnelSchema.safeParse(valueAt(root, tunnelPath));
    for (const inner of error?.issues ?? []) findings.push(...findingsOf(inner, tunnelPath, root));
  }
  return findings;
}

/** Deep copy of plain values; unshares what aliases shared. */
function copy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copy);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copy(item)]));
}

function makeDraft(root: unknown, findings: readonly Finding[]): Draft<ConfigDocument> {
  const draft = copy(root);
  if (findings.some(({ path, at }) => path.length === 0 && at === "value")) return {};
  for (const { path, at } of findings) {
    if (at === "key") continue;
    const parent = valueAt(draft, path.slice(0, -1));
    if (typeof parent !== "object" || parent === null) continue;
    (parent as Record<string | number, unknown>)[path[path.length - 1]] = undefined;
  }
  // Everything left has passed the schema, which is what Draft<ConfigDocument> says.
  return draft as Draft<ConfigDocument>;
}

/** Validates plain values against the schema. Every finding is reported; never throws. */
export function validate(root: unknown): Validation {
  const result = configSchema.safeParse(root);
  const issues = result.error?.issues ?? [];
  const findings = issues.flatMap((issue) => findingsOf(issue, [], root));
  return { document: result.data, draft: makeDraft(root, findings), findings };
}
