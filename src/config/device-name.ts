// Names of network devices: what the kernel accepts (dev_valid_name() in net/core/dev.c) and what
// sysctl reserves.

import type { Fault } from "./addresses.js";
import { configLimits } from "./default-values.js";

export const EXPECTED_DEVICE_NAME = `a device name of 1 to ${configLimits.deviceName_bytes} bytes`;

/**
 * Says what is wrong with a device name, or undefined. Besides the kernel's rules, `%` is refused
 * (the kernel takes it as a pattern and numbers the device), and `all` and `default`, which are
 * directories of /proc/sys/net/ipv4/conf.
 */
export const deviceNameFault: Fault = (text) => {
  const length_bytes = Buffer.byteLength(text, "utf8");
  if (length_bytes === 0) return EXPECTED_DEVICE_NAME;
  if (length_bytes > configLimits.deviceName_bytes) {
    return `${EXPECTED_DEVICE_NAME} (it has ${length_bytes})`;
  }
  if (/[/:%\s\p{Cc}]/u.test(text)) {
    return "a device name without slash, colon, percent sign, whitespace or control characters";
  }
  if (text === "." || text === "..") return 'a device name other than "." and ".."';
  if (text === "all" || text === "default") {
    return 'a device name other than "all" and "default" (sysctl reserves them)';
  }
  return undefined;
};
