// Request shapes of the control API as zod schemas: what may come in over the socket. Everything
// that reaches the daemon has passed here. Loaded by the server only; the shapes of answers are
// plain types in target.ts.

import { isIP } from "node:net";
import { z } from "zod";
import { MAX_BATCH_CHANGES, type Operation } from "./paths.js";
import type { ControlTarget } from "./target.js";

/**
 * IFNAMSIZ is 16 with the closing zero; "/" and white space are refused by the kernel
 * (dev_valid_name).
 */
const deviceName = z
  .string()
  .regex(/^[^\s/]{1,15}$/, 'a device name: 1 to 15 characters, no "/" and no white space');
const macAddress = z
  .string()
  .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, 'a MAC address such as "02:00:00:00:00:0b"')
  .transform((text) => text.toLowerCase());
const ipAddress = z
  .string()
  .refine((text) => isIP(text) !== 0 && !text.includes("%"), "an IPv4 or IPv6 address");
const portMessage = "a UDP port, 1 to 65535";
const port = z.int(portMessage).min(1, portMessage).max(65535, portMessage);
const vniMessage = "a VNI, 0 to 16777215";
const vni = z.int(vniMessage).min(0, vniMessage).max(0xffffff, vniMessage);

const fdbState = z.enum(["permanent", "static", "dynamic"]);
const neighState = z.enum(["permanent", "noarp"]);

/** In a query string: `states=permanent,static`, `from=123`. */
const fdbStatesText = z
  .string()
  .transform((text) => text.split(","))
  .pipe(z.array(fdbState));
const cursor = z
  .string()
  .regex(/^[0-9]{1,15}$/, "`next` of the page before")
  .transform(Number);

const nothing = z.strictObject({});

const fdbChange = z
  .strictObject({
    op: z.enum(["add", "append", "replace", "del"]),
    dev: deviceName,
    mac: macAddress,
    dst: ipAddress.optional(),
    port: port.optional(),
    vni: vni.optional(),
    state: fdbState.optional(),
    router: z.boolean().optional(),
    extern_learn: z.boolean().optional(),
  })
  .refine((change) => change.op === "del" || change.dst !== undefined, {
    path: ["dst"],
    message: "needed unless op is del",
  });

const neighChange = z
  .strictObject({
    op: z.enum(["add", "replace", "del"]),
    dev: deviceName,
    ip: ipAddress,
    mac: macAddress.optional(),
    state: neighState.optional(),
    router: z.boolean().optional(),
  })
  .refine((change) => change.op === "del" || change.mac !== undefined, {
    path: ["mac"],
    message: "needed unless op is del",
  });

const batchOf = <Change extends z.ZodType>(change: Change) =>
  z.strictObject({
    changes: z.array(change).max(MAX_BATCH_CHANGES, `at most ${MAX_BATCH_CHANGES} changes`),
    force: z.boolean().optional(),
  });

const fdbQuery = {
  dev: deviceName.optional(),
  mac: macAddress.optional(),
  dst: ipAddress.optional(),
  states: fdbStatesText.optional(),
};

type Argument<O extends Operation> = Parameters<ControlTarget[O]> extends [infer A] ? A : object;

/** Schema of the argument of every operation; its output is what the target's method takes. */
export const REQUEST_SCHEMAS: { readonly [O in Operation]: z.ZodType<Argument<O>> } = {
  status: nothing,
  counters: nothing,
  fdbShow: z.strictObject(fdbQuery),
  fdbPage: z.strictObject({ ...fdbQuery, from: cursor.optional() }),
  fdbChange,
  fdbBatch: batchOf(fdbChange),
  fdbFlush: z.strictObject({
    dev: deviceName,
    mac: macAddress.optional(),
    dst: ipAddress.optional(),
    port: port.optional(),
    vni: vni.optional(),
    states: z.array(fdbState).optional(),
    permanent: z.boolean().optional(),
    router: z.boolean().optional(),
    extern_learn: z.boolean().optional(),
  }),
  neighShow: z.strictObject({
    dev: deviceName.optional(),
    ip: ipAddress.optional(),
    state: neighState.optional(),
  }),
  neighChange,
  neighBatch: batchOf(neighChange),
  neighFlush: z.strictObject({
    dev: deviceName,
    ip: ipAddress.optional(),
    states: z.array(neighState).optional(),
    router: z.boolean().optional(),
    permanent: z.boolean().optional(),
  }),
  routeShow: z.strictObject({ dev: deviceName.optional() }),
  routePage: z.strictObject({ dev: deviceName.optional(), from: cursor.optional() }),
  routeGet: z.strictObject({ to: ipAddress, dev: deviceName.optional() }),
};

/**
 * Every wrong field of a refused request on one line: `mac: a MAC address ...; vni: a VNI, 0 to
 * 16777215`.
 */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .flatMap((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((key) => `${[...issue.path, key].join(".")}: unknown field`)
        : [`${issue.path.join(".") || "request"}: ${issue.message}`],
    )
    .join("; ");
}
