// Next hops that the kernel reaches through the tunnel itself: packets to them would go round and
// round. Asks the kernel about every next hop when it comes into use, and about all again when
// routes changed; says what it found and changes nothing.

import { CulvertError } from "../errors.js";
import type { OuterHop } from "./outer-hops.js";
import type { TunnelRoutes } from "./tunnel-routes.js";

/** How long routes change before all next hops are looked at again. */
const SETTLE_MS = 20;
/** Next hops that the kernel is asked about at a time: some milliseconds. */
const ASKED_AT_ONCE = 64;
/** Next hops that are looked at at a time; most need no question. */
const LOOKED_AT_ONCE = 2048;

/** Index of the device that the kernel would send to this address by; undefined: none. */
export type AskRoute = (hop: OuterHop) => number | undefined;

/** Told of next hops of one tunnel that became `looped`, or are no longer. */
export type LoopsChanged = (routes: TunnelRoutes, hops: readonly OuterHop[]) => void;

interface Suspect {
  readonly routes: TunnelRoutes;
  readonly hop: OuterHop;
}

export class RecursionGuard {
  readonly #tunnels: readonly TunnelRoutes[];
  readonly #ask: AskRoute;
  readonly #onChange: LoopsChanged;
  #new: Suspect[] = [];
  #round: Suspect[] = [];
  #stale = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(tunnels: readonly TunnelRoutes[], ask: AskRoute, onChange: LoopsChanged) {
    this.#tunnels = tunnels;
    this.#ask = ask;
    this.#onChange = onChange;
    for (const routes of tunnels) {
      routes.outer.onNew = (hop) => this.#new.push({ routes, hop });
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#stale = false;
  }

  /** Looks at next hops that came into use, as many as one turn allows, the others soon. */
  checkNew(): void {
    if (this.#new.length === 0) return;
    const rest = this.#look(this.#new);
    this.#new = [];
    if (rest.length === 0) return;
    this.#round.push(...rest);
    this.#arm();
  }

  /** Routes of this host changed: all next hops are looked at again soon. */
  routesChanged(): void {
    if (this.#stale) return;
    this.#stale = true;
    this.#arm();
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => this.#step(), SETTLE_MS).unref();
  }

  #step(): void {
    this.#timer = undefined;
    if (this.#round.length === 0 && this.#stale) {
      this.#stale = false;
      this.#round = this.#tunnels.flatMap((routes) =>
        routes.outer.list().map((hop) => ({ routes, hop })),
      );
    }
    this.#round = this.#look(this.#round);
    if (this.#round.length > 0 || this.#stale) this.#arm();
  }

  /** @returns those that were not looked at */
  #look(suspects: readonly Suspect[]): Suspect[] {
    const changed = new Map<TunnelRoutes, OuterHop[]>();
    let asked = 0;
    let at = 0;
    for (; at < suspects.length && at < LOOKED_AT_ONCE && asked < ASKED_AT_ONCE; at++) {
      const { routes, hop } = suspects[at];
      if (!routes.mayCover(hop)) continue;
      asked++;
      const looped = this.#ask(hop) === routes.tunnel.device.ifindex;
      if (looped === hop.looped) continue;
      hop.looped = looped;
      changed.set(routes, [...(changed.get(routes) ?? []), hop]);
    }
    for (const [routes, hops] of changed) this.#onChange(routes, hops);
    return suspects.slice(at);
  }
}

/** `recursion`: the error for a configuration whose next hop leads back into its tunnel. */
export function recursionError(name: string, what: string, address: string): CulvertError {
  return new CulvertError(
    "CULVERT_RECURSION",
    `tunnel ${name}: ${what} is reached through the tunnel itself`,
    { hint: recursionCure(name, address) },
  );
}

/** What to do about it. */
export function recursionCure(name: string, address: string): string {
  const length = address.includes(":") ? 128 : 32;
  return (
    `give ${address} a more specific route over the underlay (ip route add ${address}/${length} via ROUTER ` +
    `dev DEVICE), give the tunnel \`dev\`, or take a prefix that does not cover it: see \`ip route get ${address}\` and \`ip route show dev ${name}\``
  );
}
