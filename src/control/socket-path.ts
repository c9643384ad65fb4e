// Takes the path of the control socket for this daemon: makes its directory, removes what a dead
// daemon left behind, refuses a live one. Must never remove anything that is not a socket nobody
// answers on.

import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { CulvertError } from "../errors.js";

/**
 * sun_path has 108 bytes with the closing zero, unix(7); longer paths would be cut short without an
 * error.
 */
const MAX_SOCKET_PATH_BYTES = 107;
/** A living daemon accepts at once; one that does not answer in this time still owns the path. */
const PROBE_TIMEOUT_MS = 1000;

/**
 * Makes `socketPath` free to listen on. Throws CULVERT_SOCKET_IN_USE when a daemon answers there,
 * CULVERT_SOCKET_PATH for a path that cannot hold a socket, CULVERT_SOCKET_PERMISSION.
 */
export async function claimSocketPath(socketPath: string): Promise<void> {
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
    throw new CulvertError(
      "CULVERT_SOCKET_PATH",
      `the control socket's path is longer than ${MAX_SOCKET_PATH_BYTES} bytes: ${socketPath}`,
      { hint: "choose a shorter path for control.socket" },
    );
  }
  try {
    mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
    const stats = lstatSync(socketPath, { throwIfNoEntry: false });
    if (stats === undefined) return;
    if (!stats.isSocket()) {
      throw new CulvertError("CULVERT_SOCKET_PATH", `${socketPath} exists and is not a socket`, {
        hint: "move that file away, or set control.socket to another path",
      });
    }
    if (await answers(socketPath)) throw socketInUse(socketPath);
    unlinkSync(socketPath);
  } catch (error) {
    throw asSocketError(socketPath, error);
  }
}

/** The error for a path that another daemon listens on. */
export function socketInUse(socketPath: string): CulvertError {
  return new CulvertError("CULVERT_SOCKET_IN_USE", `another daemon answers at ${socketPath}`, {
    hint: `stop it first (\`culvert status --socket ${socketPath}\` shows its pid), or set control.socket to another path`,
  });
}

/** A file system or listen error as the CulvertError that names path and cure. */
export function asSocketError(socketPath: string, error: unknown): CulvertError {
  if (error instanceof CulvertError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EADDRINUSE") return socketInUse(socketPath);
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new CulvertError(
      "CULVERT_SOCKET_PERMISSION",
      `not allowed to make the control socket ${socketPath} (${code})`,
      { hint: "run as root, or set control.socket to a path this user may write", cause: error },
    );
  }
  return new CulvertError(
    "CULVERT_SOCKET_PATH",
    `cannot make the control socket ${socketPath}: ${(error as Error).message}`,
    { hint: "set control.socket to a path in a directory on this host", cause: error },
  );
}

/**
 * Whether somebody listens. Only ECONNREFUSED proves that nobody does: a full backlog or silence is
 * a live daemon.
 */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const settle = (act: () => void) => {
      socket.destroy();
      act();
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => settle(() => resolve(true)));
    socket.once("connect", () => settle(() => resolve(true)));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(() => {
        if (error.code === "ECONNREFUSED") resolve(false);
        else if (error.code === "EAGAIN") resolve(true);
        else reject(error);
      }),
    );
  });
}
