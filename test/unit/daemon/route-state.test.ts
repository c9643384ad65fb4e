// The list of plain routes beside the control socket: what was written is read, also by the next
// daemon; anything else is set aside.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RouteState } from "../../../src/daemon/route-state.js";
import { createLogger } from "../../../src/telemetry/log.js";

let folder: string;
let file: string;
let state: RouteState;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "culvert-routes-"));
  file = join(folder, "sock.routes");
  state = new RouteState(join(folder, "sock"), createLogger({ level: "fatal" }));
});
afterEach(() => rmSync(folder, { recursive: true }));

const ROUTE = { to: "10.1.0.0/16", via: "10.0.0.2", ifindex: 2, metric: 0, source: "10.0.0.1" };

describe("the list of plain routes", () => {
  it("is empty without a file, and none is made for none", () => {
    expect(state.read()).toEqual([]);
    state.write([]);
    expect(existsSync(file)).toBe(false);
  });

  it("is read as it was written, with or without a preferred source", () => {
    const { source: _source, ...plain } = ROUTE;
    const routes = [ROUTE, { ...plain, to: "fd01::/64", metric: 4_294_967_295 }];
    state.write(routes);
    expect(state.read()).toEqual(routes);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  it("goes with the last route", () => {
    state.write([ROUTE]);
    state.write([]);
    expect(existsSync(file)).toBe(false);
  });

  it.each([
    ["nothing", ""],
    ["half a file", '{"version":1,"routes":[{"to":"10.1'],
    ["another version", '{"version":2,"routes":[]}'],
    [
      "a route without next hop",
      '{"version":1,"routes":[{"to":"10.1.0.0/16","ifindex":2,"metric":0}]}',
    ],
    ["a device that cannot be", JSON.stringify({ version: 1, routes: [{ ...ROUTE, ifindex: 0 }] })],
    ["something else", '"routes"'],
  ])("is set aside with %s in it", (_what, text) => {
    writeFileSync(file, text);
    expect(state.read()).toBeUndefined();
    expect(existsSync(file)).toBe(false);
    expect(readFileSync(`${file}.damaged`, "utf8")).toBe(text);
    expect(state.read()).toEqual([]);
  });

  it("is an error when its folder is gone", () => {
    const lost = new RouteState(join(folder, "none", "sock"), createLogger({ level: "fatal" }));
    expect(() => lost.write([ROUTE])).toThrow(
      expect.objectContaining({ code: "CULVERT_ROUTE_STATE" }),
    );
  });
});
