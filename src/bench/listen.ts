// `culvert bench --listen`: the far end of a measurement between two real hosts.

export interface ListenerOptions {
  /** Address to listen on. */
  readonly bind: string;
  readonly port: number;
  /** Control socket of the daemon on this host. */
  readonly socketPath: string;
  /** Ends the listener. */
  readonly signal: AbortSignal;
  /** Gets a line for people when something happens; the first one says where it listens. */
  readonly log: (line: string) => void;
}

/** Runs until `signal`; throws what kept it from listening. */
export async function runListener(_options: ListenerOptions): Promise<void> {}
