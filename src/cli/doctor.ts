// `culvert doctor`: known traps on this host, each with its cure. Asks a running daemon for its
// tunnels, or takes those of a configuration file; the checks are src/doctor. Changes nothing.

import { Command } from "commander";
import type { Examination } from "../doctor/examine.js";
import type { DoctorTunnel, Finding } from "../doctor/finding.js";
import type { RealHost } from "../doctor/real-host.js";
import { CulvertError, ExitStatus } from "../errors.js";
import { type DaemonOptions, daemonClient, daemonOptions, withDaemonOptions } from "./command.js";
import { type CliIo, printable, writeJson } from "./io.js";

const EXAMPLES = `
Examples:
  culvert doctor
  culvert doctor --config /etc/culvert/culvert.yaml
  culvert doctor -j | jq -r '.[] | select(.level == "problem") | .cure'

A problem loses packets or keeps a daemon from starting; a warning does so under conditions that cannot
be seen from this host. With a running daemon its tunnels are looked at, with --config those of
the file, otherwise the host alone. Nothing is changed: the cures are for you to run.

Exit status: 0 no problem (there may be warnings), 1 a problem, 2 wrong usage or configuration.`;

interface DoctorOptions extends DaemonOptions {
  config?: string;
}

/** What is to be looked at, and what finding that out has shown. */
interface Subject {
  readonly tunnels: readonly DoctorTunnel[];
  readonly daemonPid: number | undefined;
  readonly known: readonly Finding[];
}

/** The `doctor` command; `finish` gets exit status 1 when there is a problem. */
export function doctorCommand(io: CliIo, finish: (status: ExitStatus) => void): Command {
  return withDaemonOptions(new Command("doctor"))
    .description("find known traps on this host, each with its cure")
    .option("-c, --config <file>", "look at the tunnels of this file instead of a daemon's")
    .addHelpText("after", EXAMPLES)
    .action(async (_options, command: Command) => {
      const options = daemonOptions<{ config?: string }>(command);
      const examination = await examineHost(options);
      if (options.json) writeJson(io, examination.findings);
      else io.out(formatExamination(examination));
      const bad = examination.findings.some(({ level }) => level === "problem");
      if (bad) finish(ExitStatus.failed);
    });
}

async function examineHost(options: DoctorOptions): Promise<Examination> {
  const [{ RealHost }, { examine }] = await Promise.all([
    import("../doctor/real-host.js"),
    import("../doctor/examine.js"),
  ]);
  const host = new RealHost();
  try {
    const { known, ...subject } =
      options.config === undefined ? await ofDaemon(options) : await ofConfig(options.config, host);
    return examine({ host, ...subject }, known);
  } finally {
    host.close();
  }
}

async function ofDaemon(options: DoctorOptions): Promise<Subject> {
  const { tunnelsOfStatus } = await import("../doctor/tunnels.js");
  try {
    const status = await daemonClient(options).status();
    return { tunnels: tunnelsOfStatus(status), daemonPid: status.pid, known: [] };
  } catch (error) {
    if (!(error instanceof CulvertError)) throw error;
    return { tunnels: [], daemonPid: undefined, known: [withoutDaemon(error)] };
  }
}

/** No daemon is nothing wrong; one that does not answer is. */
function withoutDaemon({ code, message, hint }: CulvertError): Finding {
  const none = code === "CULVERT_NO_DAEMON";
  return {
    check: "daemon",
    level: none ? "ok" : code === "CULVERT_SOCKET_PERMISSION" ? "warning" : "problem",
    what: message,
    consequence: "only the host was looked at, no tunnel",
    cure: none
      ? "name the tunnels with --config FILE, or a daemon's socket with --socket PATH"
      : (hint ?? ""),
  };
}

async function ofConfig(path: string, host: RealHost): Promise<Subject> {
  const [{ loadConfigFile }, { invalidConfigError }, { deviceTunnels }, { tunnelsOfConfig }] =
    await Promise.all([
      import("../config/load.js"),
      import("../config/format.js"),
      import("../config/tunnel-kinds.js"),
      import("../doctor/tunnels.js"),
    ]);
  const { underlayOf } = await import("../netlink/underlay.js");
  const loaded = loadConfigFile(path);
  if (loaded.problems !== undefined) throw invalidConfigError(loaded.problems, loaded.text, path);
  const { tunnels, findings } = tunnelsOfConfig(deviceTunnels(loaded.config), (query) =>
    underlayOf(host.rtnl, query),
  );
  return { tunnels, daemonPid: undefined, known: findings };
}

/** A paragraph for each finding, then the sum; ends in a newline. */
export function formatExamination({ findings, passed }: Examination): string {
  const paragraphs = findings.map(
    ({ level, what, consequence, cure }) =>
      `${level}: ${printable(what)}\n  ${printable(consequence)}\n  cure: ${printable(cure)}\n\n`,
  );
  const count = (wanted: Finding["level"]) =>
    findings.filter(({ level }) => level === wanted).length;
  const sum = [
    counted(count("problem"), "problem"),
    counted(count("warning"), "warning"),
    `${counted(passed, "check")} ok`,
  ];
  return `${paragraphs.join("")}${sum.join(", ")}\n`;
}

const counted = (count: number, what: string): string =>
  `${count} ${what}${count === 1 ? "" : "s"}`;
