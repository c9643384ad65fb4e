// Configuration documents that several test files read, and how tables of wrong ones are checked.

import { expect } from "vitest";
import { loadConfig } from "../../../src/config/load.js";
import type { ConfigProblem } from "../../../src/config/problems.js";

/** A document, then line, column, key, expected and got of its only problem. */
export type Case = readonly [string, number, number, string, string, string];

/** All problems of a document. */
export function problemsOf(text: string): ConfigProblem[] {
  return loadConfig(text, "test.yaml").problems ?? [];
}

/** Holds when loading reports exactly this one problem. */
export function expectOnlyProblem([text, line, column, key, expected, got]: Case): void {
  expect(problemsOf(text)).toStrictEqual([{ line, column, key, expected, got }]);
}

/** Gives every case a title for the test report. */
export function titled(...cases: Case[]): [string, Case][] {
  return cases.map((wrong, index) => [`${index}: ${wrong[3]}: ${wrong[5].slice(0, 40)}`, wrong]);
}

/** The example of the interface contract, with its comments. */
export const CONTRACT_EXAMPLE = `control: { socket: /run/culvert/culvert.sock }
log: { level: info }
metrics: { listen: "127.0.0.1:9479" }        # off unless given
workers: auto
tunnels:
  - name: vxlan100
    type: vxlan
    vni: 100
    local: 10.57.4.20            # or dev: eth0, or both
    port: 4789
    mtu: auto                    # underlay MTU - 50 (IPv4) or - 70 (IPv6)
    mac: auto                    # stable across restarts and reboots
    addresses: [192.168.10.1/24]
    routes: [{ to: 192.168.11.0/24, via: 192.168.11.1, onlink: true }]
    learning: true
    ageing_s: 300
    max_entries: 65536
    proxy: false                 # answer ARP and neighbour solicitations from the neigh table
    remotes: [10.57.4.21]        # flood list (head-end replication)
    fdb: [{ mac: "02:00:00:00:00:0b", dst: 10.57.4.21 }]
    neighbors: [{ ip: 192.168.11.1, mac: "02:00:00:00:00:0b" }]
  - name: ipip0
    type: ipip
    local: 10.57.4.20
    remote: any                  # one-to-many: the next hop of the matching route is the outer destination
    ttl: 64
    mtu: auto                    # underlay MTU - 20
    addresses: [192.168.10.1/32]
    routes: [{ to: 192.168.11.0/24, via: 10.57.4.21 }]
`;

/** A vxlan tunnel of five lines; `extra` starts on line 6, column 5. */
export function vxlanWith(extra: string): string {
  return `tunnels:
  - name: t
    type: vxlan
    vni: 1
    local: 10.0.0.1
    ${extra}
`;
}

/** An ipip tunnel of four lines; `extra` starts on line 5, column 5. */
export function ipipWith(extra: string): string {
  return `tunnels:
  - name: t
    type: ipip
    local: 10.0.0.1
    ${extra}
`;
}

/** A valid document of one tunnel; `extra` starts on line 6, column 1. */
export function rootWith(extra: string): string {
  return `tunnels:
  - name: t
    type: ipip
    local: 10.0.0.1
    remote: any
${extra}
`;
}
