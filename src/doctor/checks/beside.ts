// Checks: what the kernel's own IP tunnels do to ours (../kernel-tunnels.ts).

import { type IpAddress, parseIp } from "../../wire/ip-address.js";
import { check, type DoctorTunnel, type Found } from "../finding.js";
import { besideUs, moduleCure, moduleNotice, takerNotice } from "../kernel-tunnels.js";

const KINDS: ReadonlySet<string | undefined> = new Set(["ipip", "sit", "ip6tnl"]);

function addressOf(text: string | undefined, family: 4 | 6): IpAddress {
  return parseIp(text ?? (family === 4 ? "0.0.0.0" : "::"))!;
}

/** As kernel-tunnels.ts wants a tunnel; undefined: it is none over IP alone. */
function oursOf({ mode, local, family, remote }: DoctorTunnel) {
  if (mode === undefined) return undefined;
  const remoteIp = remote === undefined ? undefined : parseIp(remote);
  return { mode, local: addressOf(local, family), remote: remoteIp };
}

export const kernelTunnels = check("kernel-tunnel", ({ host, tunnels }) => {
  if (tunnels.length === 0) {
    const up = host.links().filter(({ kind, up }) => up && KINDS.has(kind));
    return up.map((link) => ({
      ...takerNotice(link),
      level: "warning",
      consequence: "it takes packets of a culvert tunnel with the same addresses too: twice",
      dev: link.name,
    }));
  }
  return tunnels.flatMap((tunnel): Found[] => {
    const ours = oursOf(tunnel);
    if (ours === undefined) return [];
    return besideUs(ours, host.links(), host.modules()).takers.map((link) => ({
      ...takerNotice(link),
      level: "problem",
      consequence: `it takes the packets of ${tunnel.name} too, so the host has them twice`,
      dev: link.name,
    }));
  });
});

export const kernelModules = check("kernel-module", ({ host, tunnels }) => {
  const modules = host.modules();
  if (tunnels.length === 0) {
    const loaded = (["tunnel4", "tunnel6"] as const).filter((name) => modules[name]);
    return loaded.map((name) => ({
      level: "warning",
      what: `the kernel's module ${name} is loaded`,
      consequence: "it answers packets of an ipip tunnel of culvert with ICMP port unreachable",
      cure: moduleCure(name),
    }));
  }
  const answering = new Map<"tunnel4" | "tunnel6", string[]>();
  for (const tunnel of tunnels) {
    const ours = oursOf(tunnel);
    if (ours === undefined) continue;
    const { answers } = besideUs(ours, host.links(), modules);
    if (answers !== undefined) {
      answering.set(answers, [...(answering.get(answers) ?? []), tunnel.name]);
    }
  }
  return Array.from(answering, ([module, names]) => ({
    ...moduleNotice(module),
    level: "warning" as const,
    what: `the kernel's module ${module} is loaded, and no device of its own has the addresses of ${names.join(", ")}`,
  }));
});
