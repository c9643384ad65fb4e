// Numbers as people read them: packets, bytes, rates, durations.

const DECIMAL = ["", "k", "M", "G", "T", "P"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `999`, `1.23k`, `45.6M`: three significant digits, decimal steps. */
export function formatCount(count: number): string {
  const [text, step] = scale(count, 1000, DECIMAL.length);
  return `${text}${DECIMAL[step]}`;
}

/** `512 B`, `1.50 KiB`, `3.20 GiB`: three significant digits, binary steps. */
export function formatBytes(count_bytes: number): string {
  const [text, step] = scale(count_bytes, 1024, BINARY.length);
  return `${text} ${BINARY[step]}`;
}

/** Bits per second from bytes per second, as iperf3 writes it: `8.40 Gb/s`. */
export function formatBitrate(bytes_per_s: number): string {
  const [text, step] = scale(bytes_per_s * 8, 1000, DECIMAL.length);
  return `${text} ${DECIMAL[step]}b/s`;
}

/** `12s`, `3m04s`, `2h05m`, `3d04h`: the two largest units. */
export function formatDuration(duration_s: number): string {
  const s = Math.floor(duration_s);
  const two = (value: number) => String(value).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d${two(Math.floor((s % 86400) / 3600))}h`;
}

/** `85us`, `1.25ms`, `2.1s`: as ping would tell it, with three significant digits at most. */
export function formatRtt(rtt_us: number): string {
  if (rtt_us < 1000) return `${Math.round(rtt_us)}us`;
  const significant = (value: number) => String(Number(value.toPrecision(3)));
  return rtt_us < 1e6 ? `${significant(rtt_us / 1e3)}ms` : `${significant(rtt_us / 1e6)}s`;
}

/** A share of 0..1 in percent without the sign: `0`, `0.02`, `1.5`, `100`. */
export function formatShare(share: number): string {
  return String(Number((share * 100).toPrecision(2)));
}

/** Three significant digits and the step; whole numbers below the first step stay whole. */
function scale(value: number, base: number, steps: number): [text: string, step: number] {
  let step = 0;
  let rest = value;
  // 999.5 would round to "1000": it belongs to the next step.
  while (rest >= (step === 0 ? base : base - 0.5) && step < steps - 1) {
    rest /= base;
    step++;
  }
  if (step === 0) return [String(Math.round(rest)), 0];
  return [rest >= 100 ? rest.toFixed(0) : rest >= 10 ? rest.toFixed(1) : rest.toFixed(2), step];
}
