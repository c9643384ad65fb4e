// The small file beside the control socket that says which plain routes a daemon has set, so that
// the next one removes what a killed one left. (Devices go with their daemon, and routes over them;
// plain routes do not. Their protocol number alone does not tell which of two daemons set them.)
// Written before routes are set and after they are removed: it may name routes that are not there,
// never miss one that is. Must not touch routes.

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { CulvertError } from "../errors.js";
import type { Logger } from "../telemetry/log.js";
import type { PlainRoute } from "./kernel-routes.js";

const VERSION = 1;

const stateSchema = z.strictObject({
  version: z.literal(VERSION),
  routes: z.array(
    z.strictObject({
      to: z.string(),
      via: z.string(),
      ifindex: z.int().min(1),
      metric: z.int().min(0).max(0xffff_ffff),
      source: z.string().optional(),
    }),
  ),
});

export class RouteState {
  readonly #path: string;
  readonly #log: Logger;

  /** @param socketPath of the control socket, which no two living daemons share */
  constructor(socketPath: string, log: Logger) {
    this.#path = `${socketPath}.routes`;
    this.#log = log;
  }

  /**
   * What the file says; undefined when it cannot be understood: it is set aside then, with a
   * warning. Throws CULVERT_ROUTE_STATE when it cannot be read.
   */
  read(): PlainRoute[] | undefined {
    let text: string;
    try {
      if (!existsSync(this.#path)) return [];
      text = readFileSync(this.#path, "utf8");
    } catch (error) {
      throw this.#unusable("read", error);
    }
    const routes = parse(text);
    if (routes === undefined) this.#setAside();
    return routes;
  }

  /** Says that these routes may be there; no file when there are none. */
  write(routes: readonly PlainRoute[]): void {
    const temporary = `${this.#path}.new`;
    try {
      if (routes.length === 0) {
        rmSync(this.#path, { force: true });
        return;
      }
      const plain = routes.map(({ to, via, ifindex, metric, source }) => ({
        ...{ to, via, ifindex, metric, source },
      }));
      const text = `${JSON.stringify({ version: VERSION, routes: plain })}\n`;
      writeFileSync(temporary, text, { mode: 0o600, flush: true });
      renameSync(temporary, this.#path);
    } catch (error) {
      throw this.#unusable("write", error);
    }
  }

  #setAside(): void {
    const aside = `${this.#path}.damaged`;
    try {
      renameSync(this.#path, aside);
    } catch (error) {
      throw this.#unusable("set aside", error);
    }
    this.#log.warn(
      { file: aside },
      "the list of routes that an earlier daemon set is damaged and was set aside: " +
        "see `ip route show proto 94` for what it may have left",
    );
  }

  #unusable(verb: string, error: unknown): CulvertError {
    const reason = (error as Error).message;
    const message = `cannot ${verb} ${this.#path}, the list of the routes that are set: ${reason}`;
    return new CulvertError("CULVERT_ROUTE_STATE", message, {
      hint: "the directory of control.socket must be writable, with room for a small file",
      cause: error,
    });
  }
}

/** Undefined: not what `write` wrote. */
function parse(text: string): PlainRoute[] | undefined {
  try {
    return stateSchema.safeParse(JSON.parse(text)).data?.routes;
  } catch {
    return undefined;
  }
}
