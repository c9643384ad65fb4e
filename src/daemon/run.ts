// `culvert run` behind its command line: config, log, signals, exit status. The daemon itself is
// daemon.ts.

import { invalidConfigError } from "../config/format.js";
import { loadConfigFile } from "../config/load.js";
import { ExitStatus } from "../errors.js";
import { createLogger } from "../telemetry/log.js";
import { Daemon } from "./daemon.js";

export interface RunOptions {
  readonly configPath: string;
}

/**
 * Runs a daemon until SIGTERM or SIGINT. Throws a CulvertError when it cannot start; nothing is
 * left behind then.
 * @returns `done` after a signal, `failed` when the data plane broke down
 */
export async function runDaemon({ configPath }: RunOptions): Promise<ExitStatus> {
  const loaded = loadConfigFile(configPath);
  if (loaded.config === undefined) {
    throw invalidConfigError(loaded.problems, loaded.text, loaded.fileName);
  }
  process.title = "culvert"; // for ps(1), and for whoever finds a port taken by it
  const log = createLogger({ level: loaded.config.log.level });
  let end: (status: ExitStatus) => void = () => undefined;
  const ended = new Promise<ExitStatus>((resolve) => {
    end = resolve;
  });
  const onSignal = (signal: NodeJS.Signals) => {
    log.info({ signal }, "stopping");
    end(ExitStatus.done);
  };
  const onHangup = () => log.warn({}, "SIGHUP: reload is not supported yet; restart instead");
  const onFailure = (error: Error) => {
    log.error({ error: error.message }, "the data plane broke down");
    end(ExitStatus.failed);
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal).on("SIGHUP", onHangup);
  try {
    const daemon = await Daemon.start(loaded.config, log, onFailure);
    const status = await ended;
    await daemon.stop();
    return status;
  } finally {
    process.off("SIGTERM", onSignal).off("SIGINT", onSignal).off("SIGHUP", onHangup);
  }
}
