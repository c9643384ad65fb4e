// The control socket end to end: real server, real client, a real unix socket in a temporary
// directory.

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createControlClient } from "../../../src/control/client.js";
import {
  type ControlLimits,
  type ControlServer,
  startControlServer,
} from "../../../src/control/server.js";
import { CulvertError } from "../../../src/errors.js";
import { MemoryEvents } from "./memory-events.js";
import { MemoryTarget, memoryLog } from "./memory-target.js";

let directory: string;
let socketPath: string;
let target: MemoryTarget;
let log: ReturnType<typeof memoryLog>;
let server: ControlServer | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "culvert-control-"));
  socketPath = join(directory, "run", "culvert.sock");
  target = new MemoryTarget();
  log = memoryLog();
});

afterEach(async () => {
  await server?.close();
  server = undefined;
  rmSync(directory, { recursive: true, force: true });
});

async function start(limits: Partial<ControlLimits> = {}): Promise<void> {
  server = await startControlServer({
    socketPath,
    target,
    events: new MemoryEvents(),
    log,
    limits,
  });
}

const client = () => createControlClient({ socketPath, timeout_ms: 5000 });

/** Sends raw bytes and returns all that comes back until the server closes. */
function raw(text: string, end = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("close", () => resolve(answer));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "ECONNRESET" && error.code !== "EPIPE") reject(error);
    });
    socket.write(text);
    if (end) socket.end();
  });
}

function post(path: string, body: string): Promise<string> {
  return raw(
    `POST ${path} HTTP/1.1\r\nhost: culvert\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

const get = (path: string) =>
  raw(`GET ${path} HTTP/1.1\r\nhost: culvert\r\nconnection: close\r\n\r\n`);

/** Status and parsed error of a raw answer. */
function parse(answer: string): { status: number; code: string; message: string } {
  const [head, body] = answer.split("\r\n\r\n", 2);
  const { code, message } = JSON.parse(body).error;
  return { status: Number(head.split(" ")[1]), code, message };
}

async function errorOf(promise: Promise<unknown>): Promise<CulvertError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(CulvertError);
  return error as CulvertError;
}

describe("operations", () => {
  it("carries every result unchanged", async () => {
    await start();
    expect(await client().status()).toEqual(JSON.parse(JSON.stringify(target.status())));
    expect((await client().counters()).drops[0]).toEqual({
      direction: "ingress",
      reason: "unknown_vni",
      meaning: "Meaning of unknown_vni.",
      count: 5,
    });
    expect(await client().routeShow({ dev: "ipip0" })).toEqual([
      { dst: "192.168.12.0/24", dev: "ipip0", protocol: "boot", scope: "link", flags: [] },
    ]);
    expect((await client().routeGet({ to: "192.168.11.9" })).outer).toBe("10.57.4.21");
  });

  it("changes, shows and flushes the FDB", async () => {
    await start();
    const entry = { dev: "vxlan100", mac: "02:00:00:00:00:0B", dst: "10.57.4.21" };
    expect(await client().fdbChange({ op: "add", ...entry, vni: 0, port: 65535 })).toBeUndefined();
    await client().fdbChange({ op: "add", ...entry, mac: "02:00:00:00:00:0c" });
    const mac = "02:00:00:00:00:0b";
    expect(await client().fdbShow({ mac })).toEqual([
      { ...entry, mac, vni: 0, port: 65535, state: "permanent", used_s: 0, updated_s: 0 },
    ]);
    const dev = "vxlan100";
    expect(await client().fdbFlush({ dev, states: ["dynamic"] })).toEqual({ removed: 0 });
    expect(await client().fdbFlush({ dev, states: ["static", "permanent"] })).toEqual({
      removed: 2,
    });
    expect(await client().fdbShow({})).toEqual([]);
  });

  it("changes, shows and flushes neighbours", async () => {
    await start();
    const entry = { dev: "vxlan100", ip: "fd00::1", mac: "02:00:00:00:00:0b" };
    await client().neighChange({ op: "add", ...entry });
    expect(await client().neighShow({ ip: "fd00::1" })).toEqual([{ ...entry, state: "PERMANENT" }]);
    expect(await client().neighFlush({ dev: "vxlan100" })).toEqual({ removed: 1 });
  });

  it("serves 100 clients at once", async () => {
    await start();
    const macs = Array.from(
      { length: 100 },
      (_, i) => `02:00:00:00:00:${i.toString(16).padStart(2, "0")}`,
    );
    const change = (mac: string) =>
      client().fdbChange({ op: "add", dev: "vxlan100", mac, dst: "10.57.4.21" });
    await Promise.all(macs.map(change));
    expect((await client().fdbShow({})).map((entry) => entry.mac).sort()).toEqual(macs);
  });
});

describe("errors", () => {
  it("brings the target's CulvertError to the client", async () => {
    await start();
    const error = await errorOf(client().fdbShow({ dev: "eth7" }));
    expect(error).toMatchObject({
      code: "CULVERT_NO_TUNNEL",
      message: "no tunnel is named eth7",
      hint: "tunnels: vxlan100, ipip0",
      exit: 1,
    });
    const missing = client().fdbChange({ op: "del", dev: "ipip0", mac: "02:00:00:00:00:01" });
    expect((await errorOf(missing)).hint).toBeUndefined();
  });

  it("hides unexpected errors from the client and logs them", async () => {
    await start();
    target.failure = new TypeError("secret detail");
    const error = await errorOf(client().status());
    expect(error.code).toBe("CULVERT_INTERNAL");
    expect(JSON.stringify([error.message, error.hint])).not.toContain("secret");
    expect(log.lines.filter((line) => line.level === "error")).toEqual([
      {
        level: "error",
        fields: { err: target.failure },
        message: expect.stringContaining("control"),
      },
    ]);
  });

  it("names every wrong field of a body", async () => {
    await start();
    const body = {
      op: "ad",
      dev: "a b",
      mac: "2:0",
      dst: "10.0.0.300",
      port: 0,
      vni: 2 ** 24,
      x: 1,
    };
    const { status, code, message } = parse(await post("/v1/fdb", JSON.stringify(body)));
    expect([status, code]).toEqual([400, "CULVERT_BAD_REQUEST"]);
    for (const field of ["op", "dev", "mac", "dst", "port", "vni", "x"]) {
      expect(message).toMatch(new RegExp(`(^|; )${field}: `));
    }
    expect(target.last).toBeUndefined();
  });

  it.each([
    ["fdb add without dst", "/v1/fdb", { op: "add", dev: "v", mac: "02:00:00:00:00:01" }, "dst: "],
    ["neigh add without mac", "/v1/neigh", { op: "add", dev: "v", ip: "10.0.0.1" }, "mac: "],
    ["flush without dev", "/v1/fdb/flush", {}, "dev: "],
    ["a list", "/v1/neigh/flush", [], "request: "],
    ["null", "/v1/neigh/flush", null, "request: "],
    ["zone index", "/v1/neigh", { op: "del", dev: "v", ip: "fe80::1%eth0" }, "ip: "],
    [
      "a number as text",
      "/v1/fdb",
      { op: "del", dev: "v", mac: "02:00:00:00:00:01", vni: "1" },
      "vni: ",
    ],
  ])("refuses %s", async (_name, path, body, message) => {
    await start();
    const answer = parse(await post(path, JSON.stringify(body)));
    expect(answer.status).toBe(400);
    expect(answer.message).toContain(message);
  });

  it.each([
    ["unknown path", () => get("/v1/fbd"), 404, "CULVERT_UNKNOWN_PATH"],
    ["root", () => get("/"), 404, "CULVERT_UNKNOWN_PATH"],
    ["odd url", () => get("//["), 404, "CULVERT_UNKNOWN_PATH"],
    ["prototype name", () => get("/v1/__proto__"), 404, "CULVERT_UNKNOWN_PATH"],
    ["wrong method", () => post("/v1/status", "{}"), 405, "CULVERT_METHOD_NOT_ALLOWED"],
    ["unknown query field", () => get("/v1/fdb?device=x"), 400, "CULVERT_BAD_REQUEST"],
    ["doubled query field", () => get("/v1/fdb?dev=x&dev=y"), 400, "CULVERT_BAD_REQUEST"],
    ["prototype field", () => get("/v1/fdb?__proto__=x"), 400, "CULVERT_BAD_REQUEST"],
    ["argument for status", () => get("/v1/status?a=b"), 400, "CULVERT_BAD_REQUEST"],
    ["broken JSON", () => post("/v1/fdb", '{"op":'), 400, "CULVERT_BAD_REQUEST"],
    ["empty body", () => post("/v1/fdb", ""), 400, "CULVERT_BAD_REQUEST"],
    ["not HTTP", () => raw("hello\r\n\r\n"), 400, "CULVERT_BAD_REQUEST"],
    [
      "large headers",
      () => raw(`GET / HTTP/1.1\r\na: ${"b".repeat(9000)}\r\n\r\n`),
      431,
      "CULVERT_BAD_REQUEST",
    ],
  ])("answers %s", async (_name, send, status, code) => {
    await start();
    expect(parse(await send())).toMatchObject({ status, code });
    expect((await client().status()).pid).toBe(4242);
  });

  it("says which methods a path takes", async () => {
    await start();
    const answer = await raw("DELETE /v1/fdb HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    expect(answer).toMatch(/^allow: GET, POST\r$/im);
  });
});

describe("limits", () => {
  it("refuses a body over the limit by its declared length, before it arrives", async () => {
    await start();
    const head = "POST /v1/fdb HTTP/1.1\r\nhost: a\r\ncontent-length: 1048577\r\n\r\n";
    expect(parse(await raw(head))).toMatchObject({ status: 413, code: "CULVERT_BODY_TOO_LARGE" });
  });

  it("refuses a body over the limit that came in chunks", async () => {
    await start({ body_bytes: 100 });
    const chunk = `40\r\n${"x".repeat(64)}\r\n`;
    const head = "POST /v1/fdb HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    expect(parse(await raw(head + chunk + chunk)).status).toBe(413);
  });

  it("takes a body of exactly the limit", async () => {
    await start({ body_bytes: 200 });
    const text = '{"dev":"ipip0"}';
    expect(await post("/v1/fdb/flush", text.padEnd(200))).toMatch(/^HTTP\/1.1 200 /);
    expect(parse(await post("/v1/fdb/flush", text.padEnd(201))).status).toBe(413);
  });

  it("cuts off clients that send headers or bodies too slowly", async () => {
    await start({ headers_ms: 100, request_ms: 150, check_ms: 25 });
    const answers = await Promise.all([
      raw("GET /v1/status HTTP/1.1\r\nhost: a\r\n"),
      raw("POST /v1/fdb HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{"),
    ]);
    expect(answers.map((answer) => parse(answer).status)).toEqual([408, 408]);
  });

  it("cuts off clients that say nothing", async () => {
    await start({ idle_ms: 60 });
    expect(await raw("")).toBe("");
  });

  it("disconnects clients over the limit and warns once", async () => {
    await start({ connections: 2, idle_ms: 500 });
    const held = [raw(""), raw("")];
    await new Promise((resolve) => setTimeout(resolve, 30));
    const refused = await Promise.all([errorOf(client().status()), errorOf(client().status())]);
    expect(refused.map((error) => error.code)).toEqual([
      "CULVERT_CONTROL_BROKEN",
      "CULVERT_CONTROL_BROKEN",
    ]);
    expect(log.lines.filter((line) => line.level === "warn")).toHaveLength(1);
    await Promise.all(held);
    expect((await client().status()).pid).toBe(4242);
  });

  it("goes on after a client that left in the middle of its body", async () => {
    await start();
    await raw("POST /v1/fdb HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{", true);
    expect((await client().status()).pid).toBe(4242);
    expect(log.lines.filter((line) => line.level === "error")).toEqual([]);
  });

  it("closes although a client holds its connection", async () => {
    await start({ close_ms: 50 });
    const held = raw("POST /v1/fdb HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{");
    await new Promise((resolve) => setTimeout(resolve, 30));
    await server?.close();
    server = undefined;
    await held;
    expect(() => statSync(socketPath)).toThrow("ENOENT");
  });
});
