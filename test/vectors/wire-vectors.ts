// Reads wire.json, the frames that make-wire-vectors.py built with scapy and decoded with tshark.

import { readFileSync } from "node:fs";

export interface WireVector {
  /** A whole Ethernet frame; every call gives its own copy. */
  bytes: Uint8Array;
  /** First occurrence of a field, as tshark prints it; throws when tshark showed none. */
  field(name: string): string;
  /** The same as a number (`0x` for hexadecimal). */
  number(name: string): number;
}

interface VectorFile {
  frames: Record<string, { hex: string; tshark: Record<string, string> }>;
}

const file = JSON.parse(
  readFileSync(new URL("./wire.json", import.meta.url), "utf8"),
) as VectorFile;

export const wireVectorNames: readonly string[] = Object.keys(file.frames);

export function wireVector(name: string): WireVector {
  const frame = file.frames[name];
  if (frame === undefined) throw new Error(`no frame ${name} in wire.json`);
  const field = (key: string): string => {
    const text = frame.tshark[key];
    if (text === undefined) throw new Error(`tshark shows no ${key} in ${name}`);
    return text;
  };
  return {
    bytes: new Uint8Array(Buffer.from(frame.hex, "hex")),
    field,
    number: (key) => Number(field(key)),
  };
}
