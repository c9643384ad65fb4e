// Who owns the path of the control socket, and what a client says when nobody answers there.

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createControlClient } from "../../../src/control/client.js";
import { type ControlServer, startControlServer } from "../../../src/control/server.js";
import { MemoryEvents } from "./memory-events.js";
import { MemoryTarget, memoryLog } from "./memory-target.js";

const NOBODY_ID = 65534;

let directory: string;
let socketPath: string;
let servers: ControlServer[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "culvert-socket-"));
  chmodSync(directory, 0o755);
  socketPath = join(directory, "c.sock");
  servers = [];
});

afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  rmSync(directory, { recursive: true, force: true });
});

async function start(path = socketPath): Promise<void> {
  servers.push(
    await startControlServer({
      ...{ socketPath: path, target: new MemoryTarget(), events: new MemoryEvents() },
      log: memoryLog(),
    }),
  );
}

const status = (timeout_ms = 5000) => createControlClient({ socketPath, timeout_ms }).status();

/** A socket file that nobody listens on: left by a process that was killed. */
function leaveStaleSocket(): void {
  const script = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", script, socketPath]);
  expect(lstatSync(socketPath).isSocket()).toBe(true);
}

/** Makes this process one that may not write the socket; returns how to undo that. */
function dropRights(): () => void {
  if (process.geteuid?.() !== 0) {
    chmodSync(socketPath, 0);
    return () => undefined;
  }
  const groups = process.getgroups?.() ?? [];
  process.setgroups?.([]);
  process.setegid?.(NOBODY_ID);
  process.seteuid?.(NOBODY_ID);
  return () => {
    process.seteuid?.(0);
    process.setegid?.(0);
    process.setgroups?.(groups);
  };
}

describe("server", () => {
  it("makes missing directories with mode 0755 and the socket with mode 0660", async () => {
    socketPath = join(directory, "a", "b", "c.sock");
    await start();
    expect(statSync(join(directory, "a")).mode & 0o777).toBe(0o755);
    expect(statSync(socketPath).mode & 0o777).toBe(0o660);
  });

  it("leaves the mode of an existing directory alone", async () => {
    mkdirSync(join(directory, "private"), { mode: 0o700 });
    await start(join(directory, "private", "c.sock"));
    expect(statSync(join(directory, "private")).mode & 0o777).toBe(0o700);
  });

  it("removes the socket when it closes", async () => {
    await start();
    await servers.pop()?.close();
    expect(existsSync(socketPath)).toBe(false);
  });

  it("takes over a socket that nobody answers on", async () => {
    leaveStaleSocket();
    await start();
    expect((await status()).pid).toBe(4242);
  });

  it("refuses a live one, which goes on working", async () => {
    await start();
    await expect(start()).rejects.toMatchObject({
      code: "CULVERT_SOCKET_IN_USE",
      message: expect.stringContaining(socketPath),
      hint: expect.stringContaining("stop it first"),
    });
    expect((await status()).pid).toBe(4242);
  });

  it.each([
    ["a file", (path: string) => writeFileSync(path, "keep me")],
    ["a directory", (path: string) => mkdirSync(path)],
    ["a dangling link", (path: string) => symlinkSync("/nonexistent/x", path)],
  ])("never removes %s", async (_name, make) => {
    make(socketPath);
    await expect(start()).rejects.toMatchObject({ code: "CULVERT_SOCKET_PATH" });
    expect(lstatSync(socketPath, { throwIfNoEntry: false })).toBeDefined();
    if (statSync(socketPath, { throwIfNoEntry: false })?.isFile()) {
      expect(readFileSync(socketPath, "utf8")).toBe("keep me");
    }
  });

  it("says that a path is too long instead of cutting it short", async () => {
    await expect(start(join(directory, "x".repeat(120)))).rejects.toMatchObject({
      code: "CULVERT_SOCKET_PATH",
      message: expect.stringContaining("107 bytes"),
    });
  });

  it("says so when the directory cannot be made", async () => {
    writeFileSync(join(directory, "file"), "");
    await expect(start(join(directory, "file", "c.sock"))).rejects.toMatchObject({
      code: "CULVERT_SOCKET_PATH",
    });
  });
});

describe("client", () => {
  it.each([
    ["no file", () => undefined],
    ["a stale socket", () => leaveStaleSocket()],
  ])("says that there is no daemon: %s", async (_name, prepare) => {
    prepare();
    await expect(status()).rejects.toMatchObject({
      code: "CULVERT_NO_DAEMON",
      exit: 3,
      message: expect.stringContaining(socketPath),
    });
  });

  it("says that it is not allowed", async () => {
    await start();
    const restore = dropRights();
    try {
      await expect(status()).rejects.toMatchObject({
        code: "CULVERT_SOCKET_PERMISSION",
        exit: 1,
        hint: expect.stringContaining("group"),
      });
    } finally {
      restore();
    }
  });

  it.each([
    ["is silent", "", "CULVERT_CONTROL_TIMEOUT"],
    [
      "stops in the middle",
      "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
      "CULVERT_CONTROL_TIMEOUT",
    ],
    ["speaks no HTTP", "SSH-2.0-x\r\n", "CULVERT_CONTROL_BROKEN"],
    ["answers no JSON", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "CULVERT_CONTROL_BROKEN"],
    ["answers a number", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n7", "CULVERT_CONTROL_BROKEN"],
    [
      "answers null as an error",
      "HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\nnull",
      "CULVERT_CONTROL_BROKEN",
    ],
    [
      "is another service",
      'HTTP/1.1 404 No\r\ncontent-length: 15\r\n\r\n{"error":"none"}',
      "CULVERT_CONTROL_BROKEN",
    ],
  ])("reports a peer that %s", async (_name, answer, code) => {
    const peer: Server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.write(answer));
    });
    await new Promise<void>((resolve) => peer.listen(socketPath, resolve));
    try {
      await expect(status(150)).rejects.toMatchObject({ code });
    } finally {
      await new Promise((resolve) => peer.close(resolve));
    }
  });
});
