// What the two ends of a measurement between real hosts say to each other: one JSON object per line
// over TCP, a request and its answer, one at a time. Everything that comes in passes here, so that
// a broken or hostile peer gets an error and nothing else.

import { isIP } from "node:net";
import { z } from "zod";
import { TestbedError } from "../testbed/error.js";
import { workloadIds } from "./workloads/all-workloads.js";

export const PROTOCOL_VERSION = 1;

export const REMOTE_LIMITS = {
  /** One message. A listener with 256 tunnels says about 40 KiB. */
  line_bytes: 256 * 1024,
  tunnels: 1024,
  /** Of a listener: one client, and those that are being turned away. */
  connections: 16,
  addresses: 64,
  /** Longest run of one workload. */
  seconds: 3600,
  /** How long a client may be silent, beyond the run that it asked for. */
  silence_ms: 30_000,
  /** How long an answer may take. */
  answer_ms: 20_000,
  /** How long the first message may take, after connecting. */
  greeting_ms: 5_000,
} as const;

const shortText = z.string().max(200);
const longText = z.string().max(2_000);
const address = z.string().refine((text) => isIP(text) !== 0 && !text.includes("%"));
const seconds_s = z.number().min(0).max(1e9);

const tunnel = z.strictObject({
  name: shortText,
  type: z.enum(["vxlan", "ipip"]),
  vni: z.int().min(0).max(0xffffff).optional(),
  port: z.int().min(1).max(65535).optional(),
  /** Of its device, without prefix length. */
  addresses: z.array(address).max(REMOTE_LIMITS.addresses),
});

const tool = z.enum(["sockperf", "culvert"]);

/** Of the client. */
const request = z.discriminatedUnion("type", [
  /** Always the first. */
  z.strictObject({ type: z.literal("hello"), version: z.int() }),
  /** Starts a server half; one that runs is stopped. */
  z.strictObject({
    type: z.literal("serve"),
    workload: z.enum(workloadIds as [string, ...string[]]),
    seconds: z.number().min(1).max(REMOTE_LIMITS.seconds),
    latency: tool,
  }),
  z.strictObject({ type: z.literal("stop") }),
  /** Starts metering this end. */
  z.strictObject({ type: z.literal("meter") }),
  /** What was used since. */
  z.strictObject({ type: z.literal("used") }),
]);

/** Of the listener. A request is answered by its own type or by an error. */
const answer = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("hello"),
    version: z.int(),
    latency: tool,
    tunnels: z.array(tunnel).max(REMOTE_LIMITS.tunnels),
    /** Why there are no tunnels: no daemon. */
    problem: longText.optional(),
  }),
  z.strictObject({ type: z.literal("serve"), port: z.int().min(1).max(65535) }),
  z.strictObject({ type: z.literal("stop") }),
  z.strictObject({ type: z.literal("meter") }),
  z.strictObject({
    type: z.literal("used"),
    machineCpu_s: seconds_s,
    /** Absent without a daemon. */
    daemonCpu_s: seconds_s.optional(),
  }),
  z.strictObject({ type: z.literal("error"), message: longText }),
]);

export type Request = z.infer<typeof request>;
export type Answer = z.infer<typeof answer>;
export type AnswerTo<T extends Request["type"]> = Extract<Answer, { type: T }>;
export type OfferedTunnel = z.infer<typeof tunnel>;

/** Throws TestbedError for what is no request. */
export function parseRequest(line: string): Request {
  return parse(request, line, "request");
}

/** Throws TestbedError for what is no answer. */
export function parseAnswer(line: string): Answer {
  return parse(answer, line, "answer");
}

function parse<T>(schema: z.ZodType<T>, line: string, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new TestbedError(`the ${what} is not JSON`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const where = issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
  throw new TestbedError(
    `the ${what} is not one of version ${PROTOCOL_VERSION}${where}: ${issue.message}`,
    "both ends must be the same version of culvert",
  );
}

/** An error as an answer; its text is cut to what the schema takes. */
export function errorAnswer(message: string): Answer {
  return { type: "error", message: message.slice(0, 2_000) };
}
