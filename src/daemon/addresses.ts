// Text of the config and the control socket <-> the words that tables hold. The text has been
// validated before; what does not parse here is a programmer's error.

import assert from "node:assert/strict";
import type { AllowConfig } from "../config/effective.js";
import type { AllowedSources, SourcePrefix } from "../forwarding/source-policy.js";
import {
  formatIp,
  type IpAddress,
  type IpPrefix,
  parseIp,
  parsePrefix,
} from "../wire/ip-address.js";
import { type Mac, parseMac } from "../wire/mac.js";

export function ipOf(text: string): IpAddress {
  const ip = parseIp(text);
  assert(ip !== undefined, `not an address: ${text}`);
  return ip;
}

export function textOf({ w0, w1, w2, w3 }: IpAddress): string {
  return formatIp(w0, w1, w2, w3);
}

/** The one spelling of an address that reports use. */
export function canonicalIp(text: string): string {
  return textOf(ipOf(text));
}

export function macOf(text: string): Mac {
  const mac = parseMac(text);
  assert(mac !== undefined, `not a MAC address: ${text}`);
  return mac;
}

export function prefixOf(text: string): IpPrefix {
  const parsed = parsePrefix(text);
  assert(parsed !== undefined, `not a prefix: ${text}`);
  return parsed;
}

/** `allow` of the config as the data plane matches it. */
export function allowedSources(allow: AllowConfig): AllowedSources {
  return typeof allow === "string" ? allow : allow.map(sourcePrefix);
}

function sourcePrefix(text: string): SourcePrefix {
  const { ip, family, length } = prefixOf(text);
  const bits = family === 4 ? 96 + length : length;
  const mask = (word: number): number => {
    const set = Math.min(32, Math.max(0, bits - 32 * word));
    return set === 0 ? 0 : (-1 << (32 - set)) | 0;
  };
  return { words: [ip.w0, ip.w1, ip.w2, ip.w3], masks: [mask(0), mask(1), mask(2), mask(3)] };
}
