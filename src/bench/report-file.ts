// A benchmark report as the text of a file, both ways. What comes in may be anything: nothing of it
// is used before all of it was found to hold together. Opens no files.

import { z } from "zod";
import { CulvertError, ExitStatus } from "../errors.js";
import { type BenchReport, REPORT_VERSION } from "./report-model.js";
import { printable } from "./report-view.js";

const problemsShown = 5;
/** More than anyone measures; bounds the arrays that are indexed by round. */
const MAX_ROUNDS = 10_000;

const text = z.string();
const count = z.int().min(0);
const positive = z.int().min(1);

const place = { setting: count, variant: text, round: count, workload: text };

/** Checked before the rest: a file of another version has another shape. */
const headSchema = z.object({
  format: z.literal("culvert-bench"),
  version: z.unknown().optional(),
});

/** Keys that are not known are left out: a newer culvert of the same version may add some. */
const reportSchema: z.ZodType<BenchReport> = z.object({
  format: z.literal("culvert-bench"),
  version: z.literal(REPORT_VERSION),
  environment: z.object({
    kernel: text,
    cpu: text,
    cpuCount: positive,
    memory_bytes: z.number().min(0),
    node: text,
    culvert: text,
    commit: text,
    iperf3: text.exactOptional(),
    latencyTool: text,
    date: text,
  }),
  reference: text,
  rounds: positive.max(MAX_ROUNDS),
  seconds: z.number().positive(),
  workloads: z.array(text),
  settings: z.array(
    z.object({
      mtu_bytes: positive.exactOptional(),
      offloads: text.exactOptional(),
      offloadsInForce: z.record(text, z.boolean()).exactOptional(),
    }),
  ),
  variants: z.array(z.object({ name: text, title: text, missing: text.exactOptional() })),
  samples: z.array(z.object({ ...place, metric: text, value: z.number() })),
  failures: z.array(z.object({ ...place, reason: text })),
});

/** One line for each setting, variant, sample and failure: files can be compared line by line. */
export function formatReport(report: BenchReport): string {
  const lines = Object.entries(report).map(([key, value]: [string, unknown]) => {
    const items = Array.isArray(value) && value.some((item) => typeof item === "object");
    return `  ${JSON.stringify(key)}: ${items ? listText(value as unknown[]) : JSON.stringify(value)}`;
  });
  return `{\n${lines.join(",\n")}\n}\n`;
}

function listText(items: readonly unknown[]): string {
  return `[\n${items.map((item) => `    ${JSON.stringify(item)}`).join(",\n")}\n  ]`;
}

/**
 * The report in the text of a file, whose name (`source`) goes into messages. Throws
 * CULVERT_BENCH_REPORT with exit status 2 for anything else.
 */
export function parseReport(content: string, source = "the report"): BenchReport {
  const document = parseJson(content, source);
  const head = headSchema.safeParse(document);
  if (!head.success) throw broken(`${source} is not a report of culvert bench`);
  if (head.data.version !== REPORT_VERSION) {
    const { version } = head.data;
    const written = typeof version === "number" ? `version ${version}` : "no known version";
    throw broken(
      `${source} has ${written} of the report's form, this culvert reads version ${REPORT_VERSION}`,
      "read it with the culvert that wrote it, or measure again",
    );
  }
  const { success, data, error } = reportSchema.safeParse(document);
  const problems = success ? contradictions(data) : error.issues.map(issueText);
  if (success && problems.length === 0) return data;
  const more = problems.length - problemsShown;
  const shown = problems.slice(0, problemsShown).map((problem) => `\n  ${problem}`);
  throw broken(
    `${source} is not a whole report:${shown.join("")}${more > 0 ? `\n  and ${more} more` : ""}`,
  );
}

function parseJson(content: string, source: string): unknown {
  if (content.trim() === "") throw broken(`${source} is empty`);
  try {
    return JSON.parse(content);
  } catch (cause) {
    throw broken(`${source} is not JSON: ${printable((cause as Error).message)}`);
  }
}

function broken(
  message: string,
  hint = "give a file that `culvert bench --json` has written, unchanged",
): CulvertError {
  return new CulvertError("CULVERT_BENCH_REPORT", message, { hint, exit: ExitStatus.usage });
}

/** `samples[3].value: Invalid input: expected number, received string`. */
function issueText({ path, message }: z.core.$ZodIssue): string {
  const at = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`));
  return `${at.join("").replace(/^\./, "") || "the document"}: ${message}`;
}

/** What each value may be, but not beside the others. */
function contradictions(report: BenchReport): string[] {
  const { settings, rounds } = report;
  const variants = new Set(report.variants.map(({ name }) => name));
  const workloads = new Set(report.workloads);
  const problems: string[] = [];
  if (variants.size < report.variants.length) problems.push("variants: a name is there twice");
  if (workloads.size < report.workloads.length) problems.push("workloads: one is there twice");
  for (const list of ["samples", "failures"] as const) {
    for (const [index, one] of report[list].entries()) {
      const at = `${list}[${index}]`;
      if (one.setting >= settings.length) problems.push(`${at}.setting: no setting ${one.setting}`);
      if (one.round >= rounds) problems.push(`${at}.round: ${one.round} of ${rounds}, from 0`);
      if (!variants.has(one.variant)) problems.push(`${at}.variant: not among the variants`);
      if (!workloads.has(one.workload)) problems.push(`${at}.workload: not among the workloads`);
    }
  }
  const seen = new Set<string>();
  for (const [index, one] of report.samples.entries()) {
    const key = JSON.stringify([one.setting, one.variant, one.round, one.workload, one.metric]);
    if (seen.has(key)) problems.push(`samples[${index}]: a second value of the same round`);
    seen.add(key);
  }
  return problems;
}
