// The `Host` of checks that is this one: rtnetlink, /proc/sys, /sys/module, ethtool's ioctl. Every
// value is read when it is first asked for and kept, so that all checks see the same. Changes
// nothing; needs no privilege.

import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { native } from "#native";
import { CulvertError } from "../errors.js";
import { type LinkAddress, listAddresses } from "../netlink/addresses.js";
import { type Link, listLinks } from "../netlink/links.js";
import { openNetlink } from "../netlink/native-transport.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { getRoute, type RouteDecision } from "../netlink/routes.js";
import type { Host, Obstacle } from "./finding.js";
import { loadedModules, type TunnelModules } from "./kernel-tunnels.js";

/** What `read` gave for this key before, or gives now. */
function once<K, V>(known: Map<K, V>, key: K, read: () => V): V {
  if (!known.has(key)) known.set(key, read());
  return known.get(key) as V;
}

export class RealHost implements Host {
  readonly rtnl: NetlinkSocket = openNetlink();
  #links: readonly Link[] | undefined;
  #addresses: readonly LinkAddress[] | undefined;
  #modules: TunnelModules | undefined;
  readonly #sysctls = new Map<string, number | undefined>();
  readonly #features = new Map<string, boolean | undefined>();
  readonly #routes = new Map<string, RouteDecision | undefined>();

  links(): readonly Link[] {
    this.#links ??= listLinks(this.rtnl);
    return this.#links;
  }

  addresses(): readonly LinkAddress[] {
    this.#addresses ??= listAddresses(this.rtnl);
    return this.#addresses;
  }

  modules(): TunnelModules {
    this.#modules ??= loadedModules();
    return this.#modules;
  }

  sysctl(path: string): number | undefined {
    return once(this.#sysctls, path, () => readNumber(`/proc/sys/${path}`));
  }

  feature(dev: string, feature: string): boolean | undefined {
    return once(this.#features, `${dev} ${feature}`, () => {
      const state = native.interfaceFeature(dev, feature);
      return state < 0 ? undefined : state === 1;
    });
  }

  routeTo(address: string, ifindex?: number): RouteDecision | undefined {
    return once(this.#routes, `${address} ${ifindex ?? ""}`, () => {
      try {
        return getRoute(this.rtnl, address, ifindex);
      } catch (error) {
        // The kernel's refusals: no route, network or host unreachable, a device that is down.
        if (error instanceof CulvertError) return undefined;
        throw error;
      }
    });
  }

  openable(path: string): Obstacle {
    try {
      closeSync(openSync(path, constants.O_RDWR));
      return undefined;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? String(error);
    }
  }

  capabilities(): bigint {
    const [, effective] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText("/proc/self/status")) ?? [];
    return BigInt(`0x${effective ?? "0"}`);
  }

  close(): void {
    this.rtnl.close();
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function readNumber(path: string): number | undefined {
  const text = readText(path).trim();
  return /^-?\d+$/.test(text) ? Number(text) : undefined;
}
