// `culvert completion`: prints the script that makes a shell complete culvert's words. The scripts
// ask culvert itself (the hidden operation `candidates`) at every Tab, so they know no command by
// name and never go out of date. What they ask must stay silent when it fails: nobody who presses
// Tab wants an error.

import { Argument, Command } from "commander";
import { createControlClient } from "../control/client.js";
import type { TunnelStatus } from "../control/target.js";
import { type Candidate, type Completion, complete } from "./completion-candidates.js";
import { COMPLETION_SCRIPTS, FILES_LINE, type Shell } from "./completion-scripts.js";
import type { CliIo } from "./io.js";

/** A daemon that is slower than this is not waited for: a person sits before the prompt. */
const DAEMON_TIMEOUT_MS = 500;

const EXAMPLES = `
Examples:
  culvert completion bash > /usr/share/bash-completion/completions/culvert   (with the package bash-completion)
  culvert completion zsh > /usr/local/share/zsh/site-functions/_culvert
  culvert completion fish > /etc/fish/completions/culvert.fish

For one user, in ~/.bashrc, in ~/.zshrc after compinit, or in ~/.config/fish/config.fish:
  source <(culvert completion bash)
  source <(culvert completion zsh)
  culvert completion fish | source

After \`dev\` the names of the devices come from the daemon, if this user may ask it.`;

/** The `completion` command; `program` builds the command line that it completes. */
export function completionCommand(
  io: CliIo,
  program: (argv: readonly string[]) => Promise<Command>,
): Command {
  const shells = Object.keys(COMPLETION_SCRIPTS);
  return new Command("completion")
    .description("print a script that completes culvert's commands, words and options in a shell")
    .usage(`${shells.join("|")} [options]`)
    .addArgument(new Argument("<shell>", "shell that sources the script").choices(shells))
    .enablePositionalOptions()
    .addHelpText("after", EXAMPLES)
    .action((shell: Shell) => io.out(COMPLETION_SCRIPTS[shell]))
    .addCommand(candidatesCommand(io, program), { hidden: true });
}

/**
 * `culvert completion candidates -- WORD...`: what may stand in place of the last word. Ends with
 * status 0, always.
 */
function candidatesCommand(
  io: CliIo,
  program: (argv: readonly string[]) => Promise<Command>,
): Command {
  return new Command("candidates")
    .argument("[words...]", "the command line after `culvert`, up to the cursor")
    .action(async (words: string[]) => {
      try {
        io.out(formatCompletion(await complete(words, { program, devices: deviceCandidates })));
      } catch {
        // Nothing to offer is the only answer that leaves the prompt as it is.
      }
    });
}

/**
 * One line per candidate, a tab between word and meaning; or the line that says that file names go
 * here.
 */
function formatCompletion(completion: Completion): string {
  if (completion === "files") return `${FILES_LINE}\n`;
  return completion.map(({ word, meaning }) => `${word}\t${meaning}\n`).join("");
}

async function deviceCandidates(socketPath: string): Promise<Candidate[]> {
  const client = createControlClient({ socketPath, timeout_ms: DAEMON_TIMEOUT_MS });
  const { tunnels } = await client.status();
  // Bash puts a candidate on the command line as it is: names that mean more than themselves there
  // are left out.
  return tunnels
    .filter(({ name }) => /^[\w.@+-]+$/.test(name))
    .map((tunnel) => ({ word: tunnel.name, meaning: deviceMeaning(tunnel) }));
}

function deviceMeaning({ type, vni }: TunnelStatus): string {
  return vni === undefined ? type : `${type} vni ${vni}`;
}
