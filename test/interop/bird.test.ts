// A routing daemon drives culvert as Calico's IPIP mode has it: Debian's bird2 on two and three
// hosts, speaking BGP on the underlay, puts the prefixes of the others into the kernel with the
// tunnel device as their way (`via NODE dev ipip0 onlink`), and culvert follows the kernel.
// Prefixes that are withdrawn, come again and move from host to host take the traffic with them.

import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { Daemon } from "../../src/testbed/daemon.js";
import { addVeth, Namespace } from "../../src/testbed/namespace.js";
import { ping } from "../../src/testbed/ping.js";
import { createStations, culvertJson, eventually, type Station } from "../netns/support.js";
import { Bird, type BirdFiles, type BirdNode, birdConfig, prepareBird } from "./bird-node.js";
import { dropsOf, startFixture, transferTcp, unmetNeeds, waitForOutput } from "./support.js";

const device = "ipip0";
const serviceNetwork = "192.168.50.0/24";
const serviceIp = "192.168.50.10";
const servicePort = "5305";
const transfer_bytes = 5_000_000;
/** BGP sessions come up and converge within seconds, on a busy machine within more. */
const convergence_ms = 40_000;

interface Node extends BirdNode {
  name: string;
  station: Station;
  pod: Namespace;
  podIp: string;
}

let unmet: string | undefined;
let files: BirdFiles;
let nodes: [Node, Node, Node];
/**
 * Of one test, with its hosts: closed BGP sessions keep port 179 from a second bird in a namespace
 * for a minute (TIME_WAIT).
 */
let cleanup = new Cleanup();
const daemons: Daemon[] = [];

/** A pod behind each host, with the address of the service beside its own. */
function createNode(station: Station, index: number): Node {
  const { host, underlayIp } = station;
  const pod = Namespace.create(cleanup, `pod${index}`);
  const network = `192.168.${10 + index}`;
  addVeth({ namespace: host, device: "pod0" }, { namespace: pod, device: "eth0" });
  host.ip("addr", "add", `${network}.1/24`, "dev", "pod0");
  host.sysctl("net.ipv4.ip_forward", 1);
  pod.ip("addr", "add", `${network}.10/24`, "dev", "eth0");
  pod.ip("route", "add", "default", "via", `${network}.1`);
  const node: Node = {
    name: "abc"[index]!,
    station,
    pod,
    underlayIp,
    podIp: `${network}.10`,
    podNetwork: `${network}.0/24`,
  };
  if (index === 0) return node;
  pod.ip("addr", "add", `${serviceIp}/32`, "dev", "lo");
  host.ip("route", "add", `${serviceIp}/32`, "via", node.podIp);
  return { ...node, service: { network: serviceNetwork, preference: index === 1 ? 200 : 100 } };
}

beforeAll(() => {
  const bird = prepareBird();
  unmet = unmetNeeds({}) ?? bird.unmet;
  if (unmet !== undefined) return;
  files = bird.files!;
});
beforeEach((context) => {
  if (unmet !== undefined) context.skip(unmet);
  cleanup = new Cleanup();
  nodes = createStations(cleanup, 3).map(createNode) as [Node, Node, Node];
});
afterEach(async (context) => {
  const ended = daemons.splice(0);
  const bad: string[] = [];
  const failed = context.task.result?.state === "fail";
  for (const daemon of ended) {
    if (failed) process.stderr.write(`${daemon.log.slice(-4000)}\n`);
    const { status, signal } = await daemon.stop();
    if (status !== 0) bad.push(`${signal ?? status}: ${daemon.log.slice(-2000)}`);
  }
  cleanup.run();
  expect(bad).toEqual([]);
});

/** culvert's tunnel of a node: it names no peer and no route. */
const tunnelConfig = ({ underlayIp, podNetwork }: Node): string => `tunnels:
  - name: ${device}
    type: ipip
    local: ${underlayIp}
    addresses: [${podNetwork.replace(".0/24", ".2/32")}]
`;

async function startTunnel(node: Node): Promise<Daemon> {
  const namespace = node.station.host;
  const daemon = await Daemon.start({ namespace, cleanup, config: tunnelConfig(node) });
  daemons.push(daemon);
  return daemon;
}

/** Tunnel and routing daemon on each of some nodes. */
async function startNodes(wanted: readonly Node[]): Promise<Bird[]> {
  const birds: Bird[] = [];
  for (const node of wanted) {
    await startTunnel(node);
    const peers = wanted.filter((other) => other !== node);
    const config = birdConfig(node, peers, device);
    birds.push(await Bird.start(cleanup, node.station.host, files, config));
  }
  return birds;
}

interface KernelRoute {
  /** When it is no unicast route. */
  type?: string;
  dst: string;
  gateway?: string;
  dev?: string;
  flags: string[];
}

/** What BIRD put into a node's kernel: `{ "192.168.11.0/24": "10.57.4.21 ipip0 onlink" }`. */
function learned({ station }: Node): Record<string, string> {
  const routes = JSON.parse(station.host.ip("-j", "route", "show", "proto", "bird"));
  const words = (routes as KernelRoute[]).map(({ type, dst, gateway, dev, flags }) => {
    const onlink = flags.includes("onlink") ? " onlink" : "";
    return [dst, type ?? `${gateway} ${dev}${onlink}`] as const;
  });
  return Object.fromEntries(words);
}

const hop = ({ underlayIp }: Node): string => `${underlayIp} ${device} onlink`;

/** Waits until the kernel of `node` has exactly these routes of BIRD. */
const expectLearned = (node: Node, routes: Record<string, string>): Promise<void> =>
  eventually(() => expect(learned(node)).toEqual(routes), convergence_ms);

const expectAnswered = (from: Node, to: string): Promise<void> =>
  eventually(async () => {
    expect((await ping({ from: from.pod, to, count: 3 })).received).toBe(3);
  });

/** The first answer may be one that was on its way. */
const expectSilent = (from: Node, to: string): Promise<void> =>
  eventually(async () => {
    expect((await ping({ from: from.pod, to, count: 3 })).received).toBe(0);
  });

describe("two hosts", () => {
  it("carry what they announce to each other", async () => {
    const [a, b] = nodes;
    await startNodes([a, b]);
    await expectLearned(a, { [b.podNetwork]: hop(b) });
    await expectLearned(b, { [a.podNetwork]: hop(a) });
    await expectAnswered(a, b.podIp);
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const path = { from: from.pod, to: to.pod, address: to.podIp };
      const { sent, received } = await transferTcp(path, transfer_bytes);
      expect(received).toEqual(sent);
    }
    const get = await culvertJson<object>(daemons[0]!, "route", "get", b.podIp);
    expect(get).toMatchObject({ dev: device, match: b.podNetwork, outer: b.underlayIp });
    for (const daemon of daemons) expect(await dropsOf(daemon, ["ingress"])).toEqual({});
  });

  it("stop with a prefix that is withdrawn, and go on when it is announced again", async () => {
    const [a, b] = nodes;
    const [, bird] = await startNodes([a, b]);
    await expectLearned(a, { [b.podNetwork]: hop(b) });
    await expectAnswered(a, b.podIp);
    await bird!.command("disable pods");
    await expectLearned(a, {});
    await expectSilent(a, b.podIp);
    const { status } = await daemons[0]!.culvert("route", "get", b.podIp);
    expect(status).toBe(1);
    await bird!.command("enable pods");
    await expectLearned(a, { [b.podNetwork]: hop(b) });
    await expectAnswered(a, b.podIp);
  });

  it("stop when the other's routing daemon ends", async () => {
    const [a, b] = nodes;
    const [, bird] = await startNodes([a, b]);
    await expectAnswered(a, b.podIp);
    await bird!.stop();
    await expectLearned(a, {});
    await expectSilent(a, b.podIp);
  });

  it("go on after a restart of culvert, whose device takes its routes with it", async () => {
    const [a, b] = nodes;
    await startNodes([a, b]);
    await expectAnswered(a, b.podIp);
    const [daemon] = daemons.splice(0, 1);
    expect((await daemon!.stop()).status).toBe(0);
    // BIRD has no way to the next hop: senders are told instead of using the default route.
    await expectLearned(a, { [b.podNetwork]: "unreachable" });
    await startTunnel(a);
    await expectLearned(a, { [b.podNetwork]: hop(b) });
    await expectAnswered(a, b.podIp);
  });
});

describe("three hosts", () => {
  /** Who answers for the service, as the pod of `from` sees it. */
  async function whoAnswers(from: Node): Promise<string> {
    const child = startFixture(from.pod, "whoami.py", "ask", serviceIp, servicePort);
    return (await child.wait(10_000)).stdout.trim();
  }

  const expectService = (from: Node, name: string): Promise<void> =>
    eventually(async () => expect(await whoAnswers(from)).toBe(name), convergence_ms);

  it("carry traffic between all of them", async () => {
    await startNodes(nodes);
    for (const node of nodes) {
      const others = nodes.filter((other) => other !== node);
      const routes = others.map((other) => [other.podNetwork, hop(other)] as const);
      await expectLearned(node, Object.fromEntries(routes));
    }
    for (const from of nodes) {
      for (const to of nodes) if (from !== to) await expectAnswered(from, to.podIp);
    }
  });

  it("move the traffic with a prefix that moves from one host to another", async () => {
    const [a, b, c] = nodes;
    const [, birdB, birdC] = await startNodes(nodes);
    for (const { pod, name } of [b, c]) {
      const words = ["serve", serviceIp, servicePort, name];
      const server = startFixture(pod, "whoami.py", ...words);
      await waitForOutput(server, "ready");
    }
    expect(await whoAnswers(a)).toBe("nobody");
    const route = () => learned(a)[serviceNetwork];
    await birdB!.command("enable service");
    await expectService(a, "b");
    // C stands by: less preferred.
    await birdC!.command("enable service");
    await eventually(() => expect(learned(b)).toMatchObject({ [c.podNetwork]: hop(c) }));
    expect(await whoAnswers(a)).toBe("b");
    expect(route()).toBe(hop(b));
    await birdB!.command("disable service");
    await expectService(a, "c");
    expect(route()).toBe(hop(c));
    await birdB!.command("enable service");
    await expectService(a, "b");
    await birdB!.stop();
    await expectService(a, "c");
    await birdC!.command("disable service");
    await eventually(() => expect(route()).toBeUndefined(), convergence_ms);
    await expectService(a, "nobody");
  });
});
